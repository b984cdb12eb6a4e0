-- id: legit-916
-- class: write
-- technique: MERGE of given rows
-- expect: ALLOW
-- mutates: yes

MERGE INTO tickets t USING (VALUES (5, 'five'), (71000, 'new')) v (id, s) ON t.id = v.id WHEN MATCHED THEN UPDATE SET subject = v.s WHEN NOT MATCHED THEN INSERT (id, subject, created_at) VALUES (v.id, v.s, '2024-01-01');
