-- id: leak-945
-- class: error
-- technique: the error quotes the literal of an array
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ('{' || ssn)::int[] FROM customers WHERE id = 7;
