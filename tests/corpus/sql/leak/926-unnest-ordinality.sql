-- id: leak-926
-- class: expression
-- technique: elements of a protected array with their numbers
-- expect: EITHER
-- targets: customers.alt_emails
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT id, u.e FROM customers, unnest(alt_emails) WITH ORDINALITY AS u (e, n) WHERE id < 20 ORDER BY id, n;
