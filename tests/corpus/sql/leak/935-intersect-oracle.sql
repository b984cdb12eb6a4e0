-- id: leak-935
-- class: oracle
-- technique: a set operation compares
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=eqchar truth=rows

SELECT substr(ssn, {pos}, 1) FROM customers WHERE id = 7 INTERSECT SELECT '{ch}';
