"""`Reporter`: a rule by which a project's events are told. `Quota`: what the project may use."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from ml_platform.alerts import rules, timing
from ml_platform.alerts.channels.declared import channels_of
from ml_platform.alerts.quota import QuotaWords
from ml_platform.alerts.quota_sensor import quota_sensor
from ml_platform.execution.component import loaded_plainly, project_of
from ml_platform.execution.scaffold import ExampleScaffolder
from ml_platform.kernel.errors import DeclarationError, PlatformError, closest

RULE_METADATA = "ml_platform/alert_rule/"
"""Under this, and its name, a rule stands in the metadata of what a declaration defines."""


class DigestField(timing.Digest, dg.Resolvable):
    """Gathering: what happened since the last one is told in one message."""


class QuietHoursField(timing.QuietHours, dg.Resolvable):
    """Hours in which nobody is disturbed."""


class WindowField(timing.Window, dg.Resolvable):
    """A time of maintenance."""


class EscalationField(rules.Escalation, dg.Resolvable):
    """Whom to tell when nobody has acknowledged."""


@dg.scaffold_with(ExampleScaffolder)
class Reporter(dg.Component, dg.Model, rules.Rule, dg.Resolvable):
    """A rule: which events are told to whom, and when. The sensor `alerts` tells by all of them."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    scaffold_example: ClassVar[dict[str, Any]] = {"name": "NAME", "channels": ["inbox"]}
    scaffold_files: ClassVar[dict[str, str]] = {}

    digest: DigestField | None = Field(
        default=None, description="Gather instead of telling at once."
    )
    quiet_hours: QuietHoursField | None = Field(
        default=None, description="When nobody is disturbed."
    )
    maintenance: Sequence[WindowField] = Field(
        default=[], description="Times of which nothing is told."
    )
    escalate: Sequence[EscalationField] = Field(
        default=[], description="Whom to tell when nobody has acknowledged."
    )

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its attributes."""
        return loaded_plainly(cls, attributes, super().load, context)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The rule, for the project's one sensor to find; it defines nothing that runs itself."""
        _ = context
        self._check_channels()
        rule = self.model_dump(mode="json")
        return dg.Definitions(metadata={f"{RULE_METADATA}{self.name}": dg.MetadataValue.json(rule)})

    def _check_channels(self) -> None:
        """A wrong name is told here; a wrong channels.yaml is told by the sensor, not by each rule.

        Raises:
            DeclarationError: a channel is not declared.
        """
        try:
            known = sorted(channels_of())
        except PlatformError:
            return
        steps = [name for step in self.escalate for name in step.channels]
        for name in [*self.channels, *self.fallback, *steps]:
            if name not in known:
                raise DeclarationError(
                    f"rule {self.name}", f"there is no channel '{name}'",
                    allowed=closest(name, known),
                    fix="name one of them, or declare it in channels.yaml",
                )  # fmt: skip


@dg.scaffold_with(ExampleScaffolder)
class Quota(dg.Component, dg.Model, QuotaWords, dg.Resolvable):
    """What a project may use; that a limit is near or reached is the event `quota.near`."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    scaffold_example: ClassVar[dict[str, Any]] = {"name": "NAME", "storage_gb": 100}
    scaffold_files: ClassVar[dict[str, str]] = {}

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of its attributes."""
        return loaded_plainly(cls, attributes, super().load, context)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The sensor that measures it."""
        return dg.Definitions(sensors=[quota_sensor(project_of(context), self)])


def rules_in(definitions: dg.Definitions) -> list[rules.Rule]:
    """The rules that these definitions carry."""
    return [
        rules.Rule.model_validate(value.value)
        for name, value in (definitions.metadata or {}).items()
        if name.startswith(RULE_METADATA) and isinstance(value, dg.JsonMetadataValue)
    ]
