-- id: legit-917
-- class: write
-- technique: unprotected columns of a table with protected ones
-- expect: ALLOW
-- mutates: yes

UPDATE customers SET city = 'Turin', points = points + 5 WHERE id = 11 RETURNING id, city, points;
