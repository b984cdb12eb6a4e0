-- id: block-910
-- class: server
-- technique: a function with effects in ORDER BY
-- expect: DENY
-- mutates: no

SELECT id FROM departments ORDER BY (SELECT pg_reload_conf())
