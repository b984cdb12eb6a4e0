-- id: block-906
-- class: mass-write
-- technique: the condition is an argument
-- expect: DENY
-- mutates: yes
-- mode: each
-- verify_db: SELECT count(*) = 0 FROM tickets

PREPARE d (bool) AS DELETE FROM tickets WHERE $1;
EXECUTE d (true);
