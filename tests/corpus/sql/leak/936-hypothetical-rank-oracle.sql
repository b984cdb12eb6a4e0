-- id: leak-936
-- class: oracle
-- technique: where would the guess stand
-- expect: EITHER
-- targets: customers.ssn
-- recognize: boolean oracle: the runner recovers the value from yes/no answers only
-- mutates: no
-- oracle: from=customers where="id = 7" col=ssn method=textgt

SELECT rank('{guess}') WITHIN GROUP (ORDER BY ssn COLLATE "C") = 1 FROM customers WHERE id = 7;
