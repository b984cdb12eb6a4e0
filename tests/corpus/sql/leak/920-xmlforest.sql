-- id: leak-920
-- class: encode
-- technique: the values become elements
-- expect: EITHER
-- targets: customers.ssn, customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT xmlforest(ssn, email AS e) FROM customers WHERE id < 9;
