"""The catalogue: every word that a defs.yaml may use as `type: ml_platform.components.<word>`."""

from ml_platform.features.component import FeatureTable

__all__ = ["FeatureTable"]
