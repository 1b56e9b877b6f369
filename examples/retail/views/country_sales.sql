-- Sales per country and day; returns are negative and reduce them.
SELECT country, window_start, window_end,
       sum(quantity * unit_price) AS revenue, count(*) AS lines, sum(quantity) AS units
FROM order_lines
GROUP BY country, tumble(invoice_date, INTERVAL '1 day')
