-- What came back, per country, over all time.
SELECT country, count(*) AS lines, sum(quantity) AS units, sum(quantity * unit_price) AS value
FROM order_lines
WHERE quantity < 0
GROUP BY country
