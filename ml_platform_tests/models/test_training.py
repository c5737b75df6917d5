"""What an order is refused for before anything is trained or kept."""

import pandas as pd
import pytest

from ml_platform.kernel.errors import DeclarationError
from ml_platform.models.training import Order, train_and_judge


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("interval_coverage", r"it cannot judge: .*\n  allowed: wape, mae, rmse, mase\n  to do:"),
        ("r2", "does not fit the task forecast"),
        ("mas", r"mase \(did you mean this\?\)"),
    ],
)
def test_a_figure_that_cannot_judge_forecasts_is_refused_before_training(judge, said, tmp_path):
    fields = {"series": "shop", "time": "week", "horizon": 4}
    order = Order(task="forecast", target="sold", forecast=fields, judge_by=judge)
    told = []
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(DeclarationError, match=said):
        train_and_judge(pd.DataFrame(), order, "sold", store, {}, told.append)
    assert told == list(tmp_path.iterdir()) == []
