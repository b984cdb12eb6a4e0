-- id: leak-943
-- class: explain
-- technique: actual rows in a plan
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=prefix truth="contains:rows=1 "

EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT FROM customers WHERE id = 7 AND ssn LIKE '{guess}%';
