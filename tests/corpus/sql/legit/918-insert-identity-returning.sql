-- id: legit-918
-- class: write
-- technique: the identity column tells its value
-- expect: ALLOW
-- mutates: yes

INSERT INTO tickets (subject, created_at) VALUES ('generated', '2024-01-01') RETURNING id, state, priority;
