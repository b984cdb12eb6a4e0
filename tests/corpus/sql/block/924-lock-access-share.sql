-- id: block-924
-- class: near-miss
-- technique: the lock that every SELECT takes
-- expect: ALLOW
-- mutates: no
-- mode: each

BEGIN;
LOCK TABLE tickets, ONLY orders IN ACCESS SHARE MODE;
COMMIT;
