-- id: block-901
-- class: mass-write
-- technique: the keys come from the table itself
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

DELETE FROM tickets WHERE id IN (SELECT id FROM tickets)
