-- id: legit-913
-- class: session
-- technique: prepared with types, executed twice
-- expect: ALLOW
-- mutates: no
-- mode: each

PREPARE q (int, text) AS SELECT id, name FROM customers WHERE id < $1 AND city = $2 ORDER BY id;
EXECUTE q (50, 'Lyon');
EXECUTE q (200, 'Berlin');
DEALLOCATE q;
