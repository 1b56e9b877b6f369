-- Prices per article, over all time. The DOUBLE sum is as exact on every road as the DECIMAL ones:
-- the same bytes, whatever the order in which the lines arrive.
SELECT stock_code, count(*) AS lines,
       min(unit_price) AS lowest, max(unit_price) AS highest, avg(unit_price) AS mean,
       sum(CAST(unit_price AS DOUBLE)) AS price_sum
FROM order_lines
GROUP BY stock_code
