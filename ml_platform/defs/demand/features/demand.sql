-- What is known of each store and week, 13 weeks beyond the last sale included: there the sale and
-- the weather are missing, as they will be when the forecast is made; the calendar is not.
-- A week is the seven days that end with the Friday that names it. What shoppers do depends on its
-- days, so the calendar says for each week which share of its days lies in a season.
WITH spine AS (
    SELECT store_id, unnest(generate_series(first_week, last_week + INTERVAL 91 DAY, INTERVAL 7 DAY))::DATE AS week
    FROM (
        SELECT store_id, min(week) AS first_week, (SELECT max(week) FROM features.sales_clean) AS last_week
        FROM features.sales_clean
        GROUP BY store_id
    )
),
days AS (
    SELECT week, (week - n::INTEGER)::DATE AS day
    FROM (SELECT DISTINCT week FROM spine), generate_series(0, 6) AS back(n)
),
-- Easter Sunday by the Gregorian formula of Meeus, Jones and Butcher.
years AS (
    SELECT DISTINCT year(day)::INTEGER AS y FROM days
),
easter_moon AS (
    SELECT
        y, y % 19 AS a, y // 100 AS b, y % 100 AS c,
        (19 * (y % 19) + y // 100 - y // 400 - (y // 100 - (y // 100 + 8) // 25 + 1) // 3 + 15) % 30 AS h
    FROM years
),
easter_weekday AS (
    SELECT y, a, h, (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7 AS l FROM easter_moon
),
easter_month AS (
    SELECT y, h + l - 7 * ((a + 11 * h + 22 * l) // 451) + 114 AS n FROM easter_weekday
),
easter AS (
    SELECT y, make_date(y, n // 31, n % 31 + 1) AS sunday FROM easter_month
),
calendar AS (
    SELECT
        week,
        bool_or(month(day) = 2 AND dayofweek(day) = 0 AND day(day) BETWEEN 1 AND 7)::INTEGER AS is_super_bowl_week,
        bool_or(month(day) = 9 AND dayofweek(day) = 1 AND day(day) BETWEEN 1 AND 7)::INTEGER AS is_labor_day_week,
        bool_or(month(day) = 11 AND dayofweek(day) = 4 AND day(day) BETWEEN 22 AND 28)::INTEGER AS is_thanksgiving_week,
        bool_or(month(day) = 12 AND day(day) = 25)::INTEGER AS is_christmas_week,
        avg((month(day) = 12 AND day(day) BETWEEN 11 AND 17)::INTEGER) AS share_dec_11_17,
        avg((month(day) = 12 AND day(day) BETWEEN 18 AND 24)::INTEGER) AS share_dec_18_24,
        avg((month(day) = 12 AND day(day) >= 25)::INTEGER) AS share_dec_25_31,
        avg((strftime(day, '%m-%d') BETWEEN '06-28' AND '07-04')::INTEGER) AS share_jun_28_jul_04,
        avg((month(day) = 2 AND day(day) BETWEEN 8 AND 14)::INTEGER) AS share_feb_08_14,
        avg((day(day) <= 7)::INTEGER) AS share_month_days_1_7,
        avg((day - sunday BETWEEN -7 AND -1)::INTEGER) AS share_before_easter,
        avg((day - sunday BETWEEN 0 AND 6)::INTEGER) AS share_after_easter
    FROM days
    JOIN easter ON y = year(day)
    GROUP BY week
)
SELECT
    store_id,
    week,
    sales_usd,
    lag(sales_usd, 13) OVER by_store AS sales_13_weeks_ago_usd,
    lag(sales_usd, 52) OVER by_store AS sales_52_weeks_ago_usd,
    weekofyear(week) AS week_of_year,
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
