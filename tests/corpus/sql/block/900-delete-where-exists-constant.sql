-- id: block-900
-- class: mass-write
-- technique: EXISTS of a query that is always true
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

DELETE FROM tickets WHERE EXISTS (SELECT 1)
