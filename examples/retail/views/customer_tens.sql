-- Loyalty: what a customer has bought, moving with every tenth line that a partition of the log has of them.
SELECT customer_id, count(*) AS lines, sum(quantity * unit_price) AS spent, max(invoice_date) AS last_line_at
FROM order_lines
WHERE customer_id IS NOT NULL
GROUP BY customer_id, every(10)
