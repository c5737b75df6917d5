-- Metric units; one row a store and week.
SELECT
    CAST(store AS INTEGER) AS store_id,
    CAST(strptime(date, '%d-%m-%Y') AS DATE) AS week,
    round((temperature_f - 32) * 5 / 9, 2) AS temperature_c,
    CAST(fuel_price AS DOUBLE) AS fuel_price_usd_per_gallon,
    CAST(cpi AS DOUBLE) AS consumer_price_index,
    CAST(unemployment AS DOUBLE) AS unemployment_pct
FROM raw.weather
ORDER BY store_id, week
