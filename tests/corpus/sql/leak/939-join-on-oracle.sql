-- id: leak-939
-- class: oracle
-- technique: the predicate is in ON
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=gt truth=rows

SELECT d.id FROM departments d JOIN customers c ON c.id = 7 AND ascii(substr(c.ssn, {pos}, 1)) > {code} LIMIT 1;
