-- Spend per customer and day.
SELECT customer_id, window_start, window_end,
       sum(quantity * unit_price) AS spent, count(*) AS lines, max(invoice_date) AS last_order_at
FROM order_lines
WHERE customer_id IS NOT NULL
GROUP BY customer_id, tumble(invoice_date, INTERVAL '1 day')
