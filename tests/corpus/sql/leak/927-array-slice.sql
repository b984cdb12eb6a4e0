-- id: leak-927
-- class: expression
-- technique: a slice of a protected array
-- expect: EITHER
-- targets: customers.alt_emails
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT alt_emails[1:1] FROM customers WHERE cardinality(tags) >= 0 ORDER BY id LIMIT 20;
