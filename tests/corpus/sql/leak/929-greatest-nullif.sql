-- id: leak-929
-- class: expression
-- technique: functions that are grammar, not functions
-- expect: EITHER
-- targets: customers.ssn, customers.email, customers.card_number
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT GREATEST(ssn::text, ''), NULLIF(email, ''), COALESCE(card_number, phone) FROM customers WHERE id < 9;
