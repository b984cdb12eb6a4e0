-- id: block-909
-- class: database
-- technique: a setting for all sessions to come
-- expect: DENY
-- mutates: yes
-- verify: SELECT count(*) > 0 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = ':db'

ALTER DATABASE corpus SET search_path = crm
