-- id: leak-922
-- class: aggregate
-- technique: ordered-set aggregate that gives one of its values
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT mode() WITHIN GROUP (ORDER BY ssn) FROM customers WHERE id = 7;
