-- Visits: order lines of a customer that follow each other within half an hour.
SELECT customer_id, window_start, window_end,
       count(*) AS lines, sum(quantity * unit_price) AS spent,
       count_distinct(invoice_no, 100) AS invoices, arg_max(stock_code, unit_price) AS dearest_article
FROM order_lines
WHERE customer_id IS NOT NULL
GROUP BY customer_id, session(invoice_date, INTERVAL '30 minutes')
