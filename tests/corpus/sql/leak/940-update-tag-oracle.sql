-- id: leak-940
-- class: oracle
-- technique: an allowed UPDATE of one row, if the guess is right
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: yes
-- oracle: from=customers where="id = 7" col=ssn method=prefix truth=tag

UPDATE tickets SET state = state WHERE id = 1 AND EXISTS (SELECT FROM customers WHERE id = 7 AND ssn LIKE '{guess}%');
