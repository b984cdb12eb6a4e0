-- id: legit-901
-- class: read
-- technique: a window of days
-- expect: ALLOW
-- mutates: no

SELECT day, sum(revenue) OVER (ORDER BY day RANGE BETWEEN '7 days' PRECEDING AND CURRENT ROW) FROM order_daily_mv ORDER BY day;
