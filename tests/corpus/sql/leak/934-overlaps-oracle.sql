-- id: leak-934
-- class: oracle
-- technique: OVERLAPS compares dates
-- expect: EITHER
-- targets: customers.dob
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=dob method=dategt

SELECT (DATE '{guess}' + 1, DATE '2100-01-01') OVERLAPS (dob, dob) FROM customers WHERE id = 7;
