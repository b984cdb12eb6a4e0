-- id: leak-930
-- class: expression
-- technique: a bytea with nothing put into it
-- expect: EITHER
-- targets: api_keys.token
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT overlay(token PLACING ''::bytea FROM 1 FOR 0) FROM api_keys ORDER BY id LIMIT 9;
