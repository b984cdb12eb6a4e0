-- id: leak-907
-- class: whole-row
-- technique: rows into an array and out again
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT (unnest(array_agg(c))).ssn FROM customers c WHERE id < 9;
