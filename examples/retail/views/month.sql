-- Months as London has them.
SELECT window_start, window_end,
       sum(quantity * unit_price) AS revenue, count(*) AS lines, count_distinct(country, 300) AS countries,
       top_k(stock_code, 3, 10000) AS best_sellers, stddev_samp(quantity) AS quantity_spread,
       last_value(invoice_no) AS last_invoice
FROM order_lines
GROUP BY tumble(invoice_date, INTERVAL '1 month', 'Europe/London')
