-- id: legit-915
-- class: write
-- technique: DELETE by the key of another table
-- expect: ALLOW
-- mutates: yes

DELETE FROM tickets t USING customers c WHERE c.id = t.customer_id AND c.name LIKE 'A%' AND t.id < 20;
