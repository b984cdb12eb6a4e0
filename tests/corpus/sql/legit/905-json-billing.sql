-- id: legit-905
-- class: json
-- technique: keys beside the protected one
-- expect: ALLOW
-- mutates: no

SELECT id, details ->> 'currency', details #>> '{billing,city}', details -> 'billing' -> 'lines' ->> 0, (details ->> 'amount')::numeric FROM payments WHERE id < 30 ORDER BY id;
