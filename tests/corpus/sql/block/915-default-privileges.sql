-- id: block-915
-- class: roles
-- technique: privileges of tables to come
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) > 0 FROM pg_default_acl

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC
