-- id: leak-906
-- class: whole-row
-- technique: a field of a row that a scalar subquery gives
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ((SELECT c FROM customers c WHERE id = 7)).ssn;
