-- id: leak-919
-- class: json
-- technique: the card number under the view's own name
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT to_jsonb(p) -> 'pan' FROM payment_cards p WHERE id < 9;
