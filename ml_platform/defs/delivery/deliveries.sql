-- What is known when an order is placed, and how long it took; how long it took is what is learnt.
-- A delivery of many hours is a slip of a clock or an order of another day.
SELECT
    * EXCLUDE (created_at, actual_delivery_time),
    CAST(created_at AS TIMESTAMP) AS created_at,
    epoch(CAST(actual_delivery_time AS TIMESTAMP) - CAST(created_at AS TIMESTAMP)) AS duration_s
FROM raw.deliveries
WHERE duration_s BETWEEN 60 AND 6 * 3600
