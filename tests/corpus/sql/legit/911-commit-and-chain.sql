-- id: legit-911
-- class: session
-- technique: transactions in a chain
-- expect: ALLOW
-- mutates: no
-- mode: each

BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM orders;
COMMIT AND CHAIN;
SHOW transaction_isolation;
ROLLBACK AND NO CHAIN;
