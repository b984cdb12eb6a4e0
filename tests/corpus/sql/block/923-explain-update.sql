-- id: block-923
-- class: near-miss
-- technique: a plan is only a plan
-- expect: ALLOW
-- mutates: no

EXPLAIN (COSTS OFF) UPDATE tickets SET state = 'closed' WHERE id = 5
