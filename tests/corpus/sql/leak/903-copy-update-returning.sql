-- id: leak-903
-- class: copy
-- technique: COPY of a statement that writes
-- expect: EITHER
-- targets: customers.ssn
-- recognize: exact substring (runner also looks for hex, base64, reversed, digests, character codes, joined cells)
-- mutates: yes

COPY (UPDATE customers SET points = points WHERE id < 9 RETURNING id, ssn) TO STDOUT;
