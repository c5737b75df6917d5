-- One row a store and week; weeks are named by the Friday that ends them.
SELECT
    CAST(store AS INTEGER) AS store_id,
    CAST(strptime(week_date, '%d-%m-%Y') AS DATE) AS week,
    CAST(weekly_sales AS DOUBLE) AS sales_usd,
    holiday_flag = 1 AS is_holiday
FROM raw.sales
ORDER BY store_id, week
