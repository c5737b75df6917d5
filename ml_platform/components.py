"""The catalogue: every word that a defs.yaml may use as `type: ml_platform.components.<word>`."""

from ml_platform.alerts.component import Quota, Reporter
from ml_platform.checks.component import Checks
from ml_platform.features.component import FeatureTable, PreparedTable
from ml_platform.models.component import Model, Predictions
from ml_platform.reports.component import Report
from ml_platform.scenarios.component import Scenario, Variables
from ml_platform.sources.component import Source

__all__ = [
    "Checks",
    "FeatureTable",
    "Model",
    "Predictions",
    "PreparedTable",
    "Quota",
    "Report",
    "Reporter",
    "Scenario",
    "Source",
    "Variables",
]
