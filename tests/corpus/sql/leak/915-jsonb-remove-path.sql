-- id: leak-915
-- class: json
-- technique: the document less a harmless path
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT details #- '{billing,city}' FROM payments ORDER BY id LIMIT 9;
