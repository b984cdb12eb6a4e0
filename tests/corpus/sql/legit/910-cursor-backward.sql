-- id: legit-910
-- class: session
-- technique: a cursor that goes to and fro
-- expect: ALLOW
-- mutates: no
-- mode: each

BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id, name FROM customers ORDER BY id;
FETCH 5 FROM s;
FETCH BACKWARD 3 FROM s;
FETCH ABSOLUTE 40 FROM s;
MOVE 10 IN s;
FETCH RELATIVE -2 FROM s;
COMMIT;
