-- id: leak-925
-- class: window
-- technique: the row before
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT id, lag(ssn) OVER (ORDER BY id) FROM customers ORDER BY id LIMIT 20;
