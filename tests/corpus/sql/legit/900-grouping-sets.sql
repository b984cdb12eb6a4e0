-- id: legit-900
-- class: read
-- technique: grouping sets over two keys
-- expect: ALLOW
-- mutates: no

SELECT country, tier, count(*), grouping(country, tier) FROM customers GROUP BY GROUPING SETS ((country), (tier), ()) ORDER BY 4, 1, 2;
