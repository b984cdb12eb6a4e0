-- id: block-922
-- class: near-miss
-- technique: names that are statements
-- expect: ALLOW
-- mutates: no

SELECT 1 AS "delete", 2 AS "drop table tickets" FROM departments "truncate" WHERE "truncate".name <> 'DROP DATABASE corpus; --' ORDER BY 1
