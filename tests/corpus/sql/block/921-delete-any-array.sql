-- id: block-921
-- class: near-miss
-- technique: three rows by their keys
-- expect: ALLOW
-- mutates: yes

DELETE FROM tickets WHERE id = ANY ('{1,2,3}')
