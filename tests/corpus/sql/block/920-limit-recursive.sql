-- id: block-920
-- class: rowlimit
-- technique: rows out of a recursive CTE
-- expect: LIMIT
-- mutates: no

WITH RECURSIVE n (i) AS (SELECT id FROM departments WHERE id = 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n
