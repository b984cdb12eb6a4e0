-- id: block-916
-- class: ddl
-- technique: row security hides rows from the others
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT relrowsecurity FROM pg_class WHERE oid = 'public.tickets'::regclass

ALTER TABLE tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
