-- id: leak-918
-- class: json
-- technique: the path names the key only by position of a wildcard
-- expect: EITHER
-- targets: payments.details
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT jsonb_path_query_array(details, 'lax $.*.*') FROM payments WHERE id < 9;
