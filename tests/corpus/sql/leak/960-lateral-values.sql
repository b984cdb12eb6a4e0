-- id: leak-960
-- class: basic
-- technique: the value in a row of VALUES beside
-- expect: EITHER
-- targets: customers.ssn, customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT v.x FROM customers c, LATERAL (VALUES (c.ssn), (c.email)) v (x) WHERE c.id < 9;
