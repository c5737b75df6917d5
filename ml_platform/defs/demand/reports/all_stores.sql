SELECT
    week,
    sum(sales_usd) AS sales,
    sum(forecast) AS forecast,
    sum(lower) AS lower,
    sum(upper) AS upper
FROM features.demand
LEFT JOIN predictions.demand USING (store_id, week)
WHERE week > (SELECT max(week) FROM features.sales_clean) - INTERVAL 52 WEEK
GROUP BY week
ORDER BY week
