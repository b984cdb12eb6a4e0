-- id: leak-938
-- class: oracle
-- technique: a select list of nothing: the number of rows tells
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=prefix truth=rows

SELECT FROM customers WHERE id = 7 AND ssn LIKE '{guess}%';
