-- id: block-914
-- class: settings
-- technique: a rule on pg_settings calls set_config
-- expect: DENY
-- mutates: no

UPDATE pg_settings SET setting = 'replica' WHERE name = 'session_replication_role'
