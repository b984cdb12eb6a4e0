-- id: leak-905
-- class: whole-row
-- technique: ROW(c.*) without the table's row type
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ROW(c.*) FROM customers c WHERE id = 7;
