-- id: legit-907
-- class: mixed
-- technique: UNION ALL of a protected and an unprotected column
-- expect: ALLOW
-- mutates: no
-- ignore_cols: 1

SELECT id, email FROM crm.customers WHERE id < 20 UNION ALL SELECT id, email FROM archive.customers WHERE id >= 20 ORDER BY id;
