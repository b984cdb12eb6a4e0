-- id: block-902
-- class: mass-write
-- technique: a tautology behind COALESCE
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

DELETE FROM tickets WHERE COALESCE(NULL, true)
