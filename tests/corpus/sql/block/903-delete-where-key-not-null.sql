-- id: block-903
-- class: mass-write
-- technique: the key is never null
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

DELETE FROM tickets WHERE id IS NOT NULL
