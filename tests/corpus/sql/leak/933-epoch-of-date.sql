-- id: leak-933
-- class: date
-- technique: a date as seconds
-- expect: EITHER
-- targets: customers.dob
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no
-- leak_sql: SELECT $1[1]::numeric = (SELECT extract(epoch FROM dob) FROM customers WHERE id = 7)

SELECT extract(epoch FROM dob) FROM customers WHERE id = 7;
