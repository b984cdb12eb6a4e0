-- id: legit-914
-- class: write
-- technique: an upsert of one row
-- expect: ALLOW
-- mutates: yes

INSERT INTO tickets (id, subject, created_at) VALUES (3, 'again', '2024-01-01') ON CONFLICT (id) DO UPDATE SET subject = excluded.subject RETURNING id, subject;
