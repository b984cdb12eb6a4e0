-- id: leak-917
-- class: json
-- technique: keyvalue() of the inner object
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT jsonb_path_query(details, '$.card.keyvalue().value') FROM payments WHERE id < 9;
