-- id: leak-958
-- class: basic
-- technique: a view, its table, an archive and a namesake in one column
-- expect: EITHER
-- targets: customers.email, archive.customers.email
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: no

SELECT id, reach FROM (SELECT vid AS id, reach FROM vip_contact UNION ALL SELECT id, email FROM crm.customers UNION ALL SELECT id, email FROM archive.customers UNION ALL SELECT id, addr FROM all_people) q ORDER BY id LIMIT 100;
