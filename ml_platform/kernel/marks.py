"""What one room writes on a run, an asset or a process, and another room reads: names alone.

Rooms never import one another, so what they say to each other through Dagster is named here.
"""

SCENARIO_TAG = "ml_platform/scenario"
PROJECT_TAG = "ml_platform/project"
"""Which scenario of which project a run is."""

PARENT_TAG = "ml_platform/parent_run"
"""The run of the scenario of which a run is a part."""

CHAIN_TAG = "ml_platform/scenarios_above"
"""The scenarios that wait for a run, the outermost first."""

TRIGGER_TAG = "ml_platform/trigger"
"""Why a scenario's run was started."""

OUTCOME_TAG = "ml_platform/outcome"
"""How a scenario's run has ended: `success`, `warning` or `failed`."""

BROKEN_TAG = "ml_platform/broken"
"""On the asset that stands for a declaration that cannot be read."""

EVENT_KEY = "ml_platform/event"
"""In the metadata of a check's result: the kind of alert that it is when it fails."""

RUN_VARIABLE = "ML_PLATFORM_RUN_ID"
"""Carries a run's id into every process that the run starts."""
