-- id: leak-916
-- class: json
-- technique: jsonb to json to text
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT details::json::text FROM payments ORDER BY id LIMIT 9;
