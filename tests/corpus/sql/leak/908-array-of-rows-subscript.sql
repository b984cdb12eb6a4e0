-- id: leak-908
-- class: whole-row
-- technique: one element of an array of rows, then a field
-- expect: EITHER
-- targets: customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ((array_agg(c ORDER BY id))[7]).email FROM customers c;
