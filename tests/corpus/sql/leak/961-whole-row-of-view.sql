-- id: leak-961
-- class: whole-row
-- technique: the row of a view
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT v FROM customer_contact v WHERE id < 9;
