"""From features to models and predictions: train, evaluate, register, promote.

`metrics`, `forecast`, `backtest`, `tabular`, `algorithms` and `tracking` are plain Python on pandas
frames; only the component that declares them in YAML knows Dagster.
"""
