-- id: leak-928
-- class: expression
-- technique: an operator by its full name
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ssn OPERATOR(pg_catalog.||) '' FROM customers WHERE id < 9;
