-- id: legit-903
-- class: read
-- technique: a tree with SEARCH and CYCLE
-- expect: ALLOW
-- mutates: no

WITH RECURSIVE t (id, manager_id) AS (SELECT id, manager_id FROM employees WHERE manager_id IS NULL UNION ALL SELECT e.id, e.manager_id FROM employees e JOIN t ON e.manager_id = t.id) SEARCH DEPTH FIRST BY id SET ord CYCLE id SET again USING path SELECT id, manager_id, again FROM t ORDER BY ord;
