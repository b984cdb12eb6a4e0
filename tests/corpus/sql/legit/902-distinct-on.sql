-- id: legit-902
-- class: read
-- technique: the last order of each customer
-- expect: ALLOW
-- mutates: no

SELECT DISTINCT ON (customer_id) customer_id, id, total FROM orders ORDER BY customer_id, placed_at DESC, id;
