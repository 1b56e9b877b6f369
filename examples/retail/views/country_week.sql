-- The last seven days per country, every day.
SELECT country, window_start, window_end,
       sum(quantity * unit_price) AS revenue, approx_distinct(customer_id) AS customers,
       approx_median(unit_price) AS median_price
FROM order_lines
GROUP BY country, hop(invoice_date, INTERVAL '1 day', INTERVAL '7 days')
