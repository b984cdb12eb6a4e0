-- id: block-904
-- class: mass-write
-- technique: MERGE that matches every row
-- expect: DENY
-- mutates: yes
-- verify_db: SELECT count(*) = 0 FROM tickets

MERGE INTO tickets USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE
