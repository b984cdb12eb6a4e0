-- id: legit-904
-- class: read
-- technique: a field of an unprotected composite
-- expect: ALLOW
-- mutates: no

SELECT id, (address).city, (c.address).zip FROM customers c WHERE id < 20 ORDER BY id;
