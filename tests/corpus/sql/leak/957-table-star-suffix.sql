-- id: leak-957
-- class: basic
-- technique: the old way to name a table with its children
-- expect: MASK
-- targets: leads.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT id, email FROM leads * ORDER BY id;
