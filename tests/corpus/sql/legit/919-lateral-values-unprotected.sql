-- id: legit-919
-- class: read
-- technique: VALUES beside each row
-- expect: ALLOW
-- mutates: no

SELECT o.id, v.k, v.x FROM orders o, LATERAL (VALUES ('total', o.total::text), ('status', o.status::text)) v (k, x) WHERE o.id < 20 ORDER BY 1, 2;
