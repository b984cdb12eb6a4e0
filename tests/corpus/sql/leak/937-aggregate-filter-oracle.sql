-- id: leak-937
-- class: oracle
-- technique: FILTER is a predicate too
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=prefix truth=first:1

SELECT count(*) FILTER (WHERE ssn LIKE '{guess}%') FROM customers WHERE id = 7;
