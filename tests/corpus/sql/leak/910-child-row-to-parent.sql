-- id: leak-910
-- class: whole-row
-- technique: the row of a child converted to its parent's type
-- expect: EITHER
-- targets: leads.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT ((l::leads)).email FROM leads_eu l ORDER BY id;
