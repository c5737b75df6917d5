"""Which rows of a table are compared with which: a reference, and what is there now.

Here: how a reference is declared, and the rows or the kept profile that it means. What becomes of
them is drift.py's; when a model became champion is told by the caller.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from ml_platform.checks.profile import Profile, from_text, to_text, values_of
from ml_platform.kernel.errors import NotFoundError
from ml_platform.kernel.names import TableKey
from ml_platform.storage.tables import TableStore

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

MOST_ROWS = 200_000
"""Of a longer table so many are drawn: two such samples differ by some thousandths."""


@dataclass(frozen=True)
class Champion:
    """A model's version that predicts, and until when it was trained."""

    model: str
    version: str
    trained_at: datetime


@dataclass(frozen=True)
class Against:
    """What a table is compared with: exactly one of these.

    Attributes:
        champion_of: the table as the champion of this model learnt from it.
        partitions: these partitions.
        previous: as many partitions before, or for a table without partitions, versions before.
    """

    champion_of: str = ""
    partitions: tuple[str, ...] = ()
    previous: int = 0


@dataclass(frozen=True)
class Compared:
    """The rows that are looked at, and the reference: its profiles, and what it is in words."""

    rows: "pa.Table"
    before: dict[str, Profile]
    about: str


@dataclass(frozen=True)
class Place:
    """A table of a project, and the columns that matter of it; all where none is named."""

    store: TableStore
    project: str
    key: TableKey
    columns: Collection[str] = ()

    @property
    def subject(self) -> str:
        """The table as errors call it."""
        return f"drift of {self.project}:{self.key}"

    def rows(self, urls: Sequence[str]) -> "pa.Table":
        """The rows of these files, or as many of them as are looked at."""
        with self.store.relation_of(urls) as relation:
            drawn = (
                f"SELECT * FROM looked_at USING SAMPLE reservoir({MOST_ROWS} ROWS) REPEATABLE (1)"
            )
            return cast("DuckDBPyRelation", relation.query("looked_at", drawn)).to_arrow_table()

    def profiles(self, urls: Sequence[str]) -> dict[str, Profile]:
        """The profiles of these files' rows."""
        values = values_of(self.rows(urls), self.columns)
        return {name: one.profile() for name, one in values.items()}


def compared(
    place: Place, against: Against, made: Sequence[str], champion: Champion | None
) -> Compared | str:
    """What is compared with what, or why there is nothing to compare with yet.

    Args:
        place: the table.
        against: the reference, as it is declared.
        made: the partitions that the run made; empty for a table without.
        champion: today's, where the reference is its.

    Raises:
        NotFoundError: the table, or a partition that is named, has no data.
    """
    if against.champion_of:
        return _with_champion(place, against.champion_of, made, champion)
    there = [one for one in place.store.partitions(place.project, place.key) if one is not None]
    if against.partitions:
        return _with_partitions(place, list(against.partitions), made, there)
    if there:
        return _with_previous_partitions(place, against.previous, made, there)
    return _with_previous_versions(place, against.previous)


def _urls(place: Place, partitions: Sequence[str] = ()) -> list[str]:
    return place.store.urls(place.project, place.key, partitions)


def _with_partitions(
    place: Place, named: list[str], made: Sequence[str], there: list[str]
) -> Compared | str:
    rest = [one for one in there if one not in named]
    now = [one for one in made if one not in named] or rest[-1:]
    if not now:
        return "nothing to compare yet: only the reference is there"
    before = place.profiles(_urls(place, named))
    return Compared(place.rows(_urls(place, now)), before, f"partition {', '.join(named)}")


def _with_previous_partitions(
    place: Place, number: int, made: Sequence[str], there: list[str]
) -> Compared | str:
    now = [one for one in there if one in made] or there[-1:]
    earlier = [one for one in there if one < now[0]][-number:]
    if not earlier:
        return "nothing to compare with yet: no partition is there before"
    words = f"the {len(earlier)} partitions from {earlier[0]} to {earlier[-1]}"
    said = words if len(earlier) > 1 else f"partition {earlier[0]}"
    before = place.profiles(_urls(place, earlier))
    return Compared(place.rows(_urls(place, now)), before, said)


def _with_previous_versions(place: Place, number: int) -> Compared | str:
    kept = place.store.version_urls(place.project, place.key)[-number:]
    if not kept:
        return "nothing to compare with yet: no version is there before"
    said = f"the {len(kept)} versions before" if len(kept) > 1 else "the version before"
    return Compared(place.rows(_urls(place)), place.profiles(kept), said)


# --- The table that a champion learnt from


def _with_champion(
    place: Place, model: str, made: Sequence[str], champion: Champion | None
) -> Compared | str:
    if champion is None:
        return f"nothing to compare with yet: {model} has no champion"
    before, about = _kept(place, champion) or _taken(place, champion)
    return Compared(place.rows(_urls(place, made)), before, about)


def _document(champion: Champion) -> str:
    return f"drift_{TableKey.parse(champion.model).name}.json"


def _mark(place: Place, champion: Champion) -> str:
    chosen = ",".join(sorted(place.columns))
    return f"{champion.version} {champion.trained_at.isoformat()} {chosen}"


def _kept(place: Place, champion: Champion) -> tuple[dict[str, Profile], str] | None:
    """The profiles that an earlier check wrote beside the table, if they are this champion's."""
    try:
        text = place.store.document(place.project, place.key, _document(champion))
    except NotFoundError:
        return None
    profiles, mark, about = from_text(text.decode())
    return (profiles, about) if mark == _mark(place, champion) else None


def _taken(place: Place, champion: Champion) -> tuple[dict[str, Profile], str]:
    """The profiles of the version that the champion learnt from, written down for all later checks.

    The versions of a table are replaced sooner than a champion; so what is compared is kept apart.
    """
    about = f"what version {champion.version} of {champion.model} learnt from"
    try:
        urls = place.store.urls_as_of(place.project, place.key, champion.trained_at)
    except NotFoundError:
        urls = place.store.version_urls(place.project, place.key)[:1] or _urls(place)
        about = f"the oldest version that is kept, as {about} is not"
    profiles = place.profiles(urls)
    text = to_text(profiles, _mark(place, champion), about)
    name = _document(champion)
    place.store.publish(place.project, place.key, name, text.encode(), keep_versions=0)
    return profiles, about
