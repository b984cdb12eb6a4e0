-- id: legit-912
-- class: session
-- technique: an error inside a savepoint
-- expect: ALLOW
-- mutates: yes
-- mode: each
-- expect_error: yes

BEGIN;
SAVEPOINT a;
SELECT 1/0;
ROLLBACK TO a;
UPDATE tickets SET priority = 2 WHERE id = 3;
RELEASE a;
COMMIT;
SELECT priority FROM tickets WHERE id = 3;
