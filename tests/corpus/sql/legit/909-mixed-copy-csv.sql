-- id: legit-909
-- class: mixed
-- technique: COPY of a query in csv with a header
-- expect: ALLOW
-- mutates: no

COPY (SELECT id, name, ssn, city FROM customers WHERE id < 30 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
