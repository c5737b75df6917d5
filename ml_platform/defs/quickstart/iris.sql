-- Petals and sepals as shapes, not only as lengths.
SELECT
    *,
    round(petal_length_cm / petal_width_cm, 3) AS petal_ratio,
    round(sepal_length_cm / sepal_width_cm, 3) AS sepal_ratio
FROM raw.iris
