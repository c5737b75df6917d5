"""Whether alerts reach anybody: told, acknowledged, ignored, noisy. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENOUGH = 5
"""With fewer incidents nothing can be said."""

TOO_MANY_A_DAY = 20.0


@dataclass(frozen=True)
class Reach:
    """What became of the messages of one rule on one channel.

    Attributes:
        told: messages, digests as one.
        dead: of these, what could not be delivered.
        incidents: how many they were about.
        acknowledged: incidents that somebody took on.
        ignored: incidents that last and nobody took on.
        by_themselves: incidents that were over before anybody took them on.
    """

    rule: str
    channel: str
    told: int
    dead: int
    incidents: int
    acknowledged: int
    ignored: int
    by_themselves: int

    def verdict(self, days: float) -> str:
        """What is wrong with it, in a few words; nothing where nothing is."""
        said = []
        if self.told / max(days, 1.0) > TOO_MANY_A_DAY:
            said.append(f"noisy: {self.told / max(days, 1.0):.0f} messages a day")
        elif self.incidents >= ENOUGH and 2 * self.by_themselves > self.incidents:
            said.append("noisy: most incidents go away by themselves")
        if self.dead:
            said.append(f"{self.dead} could not be delivered")
        return "; ".join(said)


def reaches(rows: Iterable[Mapping[str, Any]]) -> list[Reach]:
    """The figures of the outbox, one a rule and channel."""
    names = ("told", "dead", "incidents", "acknowledged", "ignored", "by_themselves")
    return [
        Reach(row["rule"], row["channel"], **{name: int(row[name] or 0) for name in names})
        for row in rows
    ]


def unanswered(found: Iterable[Reach]) -> list[str]:
    """The channels on which enough incidents were told and nobody has acknowledged any."""
    incidents: dict[str, int] = {}
    answered: set[str] = set()
    for one in found:
        incidents[one.channel] = incidents.get(one.channel, 0) + one.incidents
        if one.acknowledged:
            answered.add(one.channel)
    return sorted(
        name for name, count in incidents.items() if count >= ENOUGH and name not in answered
    )
