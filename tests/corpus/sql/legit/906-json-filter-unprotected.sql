-- id: legit-906
-- class: json
-- technique: predicates on keys beside the protected one
-- expect: ALLOW
-- mutates: no

SELECT id FROM payments WHERE details ->> 'currency' = 'EUR' AND details -> 'billing' ->> 'city' = 'Lyon' ORDER BY id;
