-- id: block-907
-- class: mass-write
-- technique: a CTE that nobody reads runs all the same
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

WITH gone AS (DELETE FROM tickets WHERE id = id OR id IS NULL) SELECT 1
