-- id: leak-944
-- class: error
-- technique: the error quotes the value
-- expect: EITHER
-- targets: customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT email::macaddr FROM customers WHERE id = 7;
