-- What is known of each store and week, 13 weeks beyond the last sale included: there the sale and
-- the weather are missing, as they will be when the forecast is made; the calendar is not.
WITH spine AS (
    SELECT store_id, unnest(generate_series(first_week, last_week + INTERVAL 91 DAY, INTERVAL 7 DAY))::DATE AS week
    FROM (
        SELECT store_id, min(week) AS first_week, (SELECT max(week) FROM features.sales_clean) AS last_week
        FROM features.sales_clean
        GROUP BY store_id
    )
),
years AS (
    SELECT unnest(generate_series(
        (SELECT min(year(week)) FROM spine), (SELECT max(year(week)) FROM spine) + 1
    ))::INTEGER AS y
),
-- Gauss's Easter formula in the form of Meeus, Jones and Butcher.
easter_parts AS (
    SELECT y, y % 19 AS a, y // 100 AS b, y % 100 AS c FROM years
),
easter_moon AS (
    SELECT y, a, b, c, (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30 AS h
    FROM easter_parts
),
easter_weekday AS (
    SELECT y, a, h, (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7 AS l FROM easter_moon
),
easter_shift AS (
    SELECT y, h, l, (a + 11 * h + 22 * l) // 451 AS m FROM easter_weekday
),
holidays AS (
    SELECT 'easter' AS holiday,
        make_date(y, (h + l - 7 * m + 114) // 31, (h + l - 7 * m + 114) % 31 + 1) AS day
    FROM easter_shift
    UNION ALL  -- the first Sunday of February; from 2022 on the second
    SELECT 'super_bowl',
        make_date(y, 2, 1) + ((7 - dayofweek(make_date(y, 2, 1))) % 7)::INTEGER + IF(y >= 2022, 7, 0)
    FROM years
    UNION ALL  -- the first Monday of September
    SELECT 'labor_day', make_date(y, 9, 1) + ((8 - dayofweek(make_date(y, 9, 1))) % 7)::INTEGER
    FROM years
    UNION ALL  -- the fourth Thursday of November
    SELECT 'thanksgiving',
        make_date(y, 11, 1) + ((11 - dayofweek(make_date(y, 11, 1))) % 7)::INTEGER + 21
    FROM years
    UNION ALL
    SELECT 'christmas', make_date(y, 12, 25) FROM years
),
calendar AS (  -- a week is the seven days that end with its Friday
    SELECT
        week,
        coalesce(bool_or(holiday = 'super_bowl'), false)::INTEGER AS is_super_bowl_week,
        coalesce(bool_or(holiday = 'easter'), false)::INTEGER AS is_easter_week,
        coalesce(bool_or(holiday = 'labor_day'), false)::INTEGER AS is_labor_day_week,
        coalesce(bool_or(holiday = 'thanksgiving'), false)::INTEGER AS is_thanksgiving_week,
        coalesce(bool_or(holiday = 'christmas'), false)::INTEGER AS is_christmas_week
    FROM (SELECT DISTINCT week FROM spine)
    LEFT JOIN holidays ON day BETWEEN week - 6 AND week
    GROUP BY week
)
SELECT
    store_id,
    week,
    sales_usd,
    lag(sales_usd, 13) OVER by_store AS sales_13_weeks_ago_usd,
    lag(sales_usd, 52) OVER by_store AS sales_52_weeks_ago_usd,
    weekofyear(week) AS week_of_year,
    -- How many of the week's days are the last 24 before Christmas: it differs from year to year.
    greatest(0, least(week, make_date(year(week), 12, 24)) - greatest(week - 6, make_date(year(week), 12, 1)) + 1)
        AS days_before_christmas,
    calendar.* EXCLUDE (week),
    temperature_c,
    fuel_price_usd_per_gallon,
    consumer_price_index,
    unemployment_pct
FROM spine
JOIN calendar USING (week)
LEFT JOIN features.sales_clean USING (store_id, week)
LEFT JOIN features.weather_clean USING (store_id, week)
WINDOW by_store AS (PARTITION BY store_id ORDER BY week)
ORDER BY store_id, week
