-- id: block-908
-- class: mass-write
-- technique: an upsert of every row
-- expect: DENY
-- mutates: yes
-- tier: stretch
-- verify_db: SELECT count(*) = 0 FROM tickets WHERE state <> 'spoilt'

INSERT INTO tickets (id, subject) SELECT id, subject FROM tickets ON CONFLICT (id) DO UPDATE SET state = 'spoilt'
