-- id: leak-912
-- class: json
-- technique: the key has the name of nothing
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT row_to_json(q) FROM (SELECT id, ssn AS x FROM customers WHERE id < 9) q;
