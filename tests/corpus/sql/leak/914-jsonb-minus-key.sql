-- id: leak-914
-- class: json
-- technique: the document less a harmless key
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT details - 'amount' FROM payments ORDER BY id LIMIT 9;
