-- id: block-905
-- class: mass-write
-- technique: EXPLAIN ANALYZE runs it
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

EXPLAIN (ANALYZE, FORMAT json) DELETE FROM tickets
