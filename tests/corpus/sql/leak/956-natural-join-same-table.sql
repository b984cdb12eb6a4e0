-- id: leak-956
-- class: basic
-- technique: NATURAL JOIN on the key alone
-- expect: MASK
-- targets: leads.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT * FROM leads NATURAL LEFT JOIN (SELECT id, 1 AS one FROM leads) z ORDER BY id;
