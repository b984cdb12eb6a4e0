-- id: block-911
-- class: server
-- technique: a slot that keeps WAL
-- expect: DENY
-- mutates: no
-- cleanup: SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'zz900'
-- verify: SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = 'zz900'

SELECT pg_create_physical_replication_slot('zz900')
