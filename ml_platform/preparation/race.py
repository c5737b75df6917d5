"""Learn how to fill each column's gaps: hide cells, let methods race, keep the winner.

`learn_filling` is the whole of it. Categories come first, because numbers are told by groups and a
row whose group is known again can be told more.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ml_platform.preparation.classifiers import MODELS, Lesson, learn_classifier
from ml_platform.preparation.columns import Columns, Mask
from ml_platform.preparation.design import (
    Design,
    Matrix,
    Told,
    ask_all,
    design_for,
    median_of,
    some_rows,
)
from ml_platform.preparation.estimators import LEARN, Estimator
from ml_platform.preparation.evidence import (
    Sight,
    band_of,
    bands_of,
    choose_keys,
    learn_evidence,
    with_bands,
)
from ml_platform.preparation.filling import FREE, CategoryFill, Filling, Judged, NumberFill
from ml_platform.preparation.gaps import beside, hidden_like, side_by_side
from ml_platform.preparation.roles import Codes, Numbers, Roles, Rows, learn_roles
from ml_platform.preparation.surroundings import (
    Plan,
    Surroundings,
    choose_plans,
    learn_surroundings,
    left_by_groups,
)
from ml_platform.preparation.timelines import in_order

SIMPLE_NUMBERS = ("mean", "median", "most_frequent", "constant")
NUMBER_METHODS = (*SIMPLE_NUMBERS, *FREE, *LEARN)
IN_RACE = ("median", *FREE, "linear", "boosted")
CATEGORY_METHODS = ("most_frequent", "evidence", *MODELS)
READ_TEXTS = frozenset({"neural"})
"""Methods that learn of texts too, of numbers and of categories."""

TRAINING_CELLS = 16_000
"""Hidden cells a column to learn from; more gained little on the tables that were tried."""

LINE_CELLS = 8_000
"""The same of a long table where lines are asked for: some hundred for each coefficient."""

HIDDEN_KEYS = 6_000
"""Hidden cells a category: it is counted and not learnt, and needs them to choose by what."""

JUDGING_CELLS = 4_000

LEAST_GAIN = 0.02
"""The share of its error that a method must take off the median's to be used in `auto`."""

LEAST_CERTAINTY = 2.0
"""Standard errors that its gain must be above nothing: with few hidden cells luck looks like it."""

_OF_CHOSEN_KEYS = 3.0  # the best of many keys, and luck has as many chances

_HIDDEN_SHARE = 0.12
_MOST_FOLDS = 5
_LONG_ROWS = 100_000
_SORTED_ROWS = 20_000
_TRIED_ROWS = 10_000
_DESIGNED_ROWS = 10_000
_ROWS_A_GROUP = 50
_JUDGED_SHARE = 0.25
_LEAST_KNOWN = 40
_PROBE_CELLS = 3_000
_PROBE_TREES = 25
_PROBE_GAIN = 0.005  # of the mean squared error; a few trees on few cells promise little


@dataclass(frozen=True)
class Wanted:
    """What is asked of the filling.

    methods: by column; `auto` where a column is not named. of_names: the method for numbers that
    turn out to be names, which have no mean. constants: the value for `constant`.
    decimals: places to which a filled number is rounded; None leaves it as it is. budget_s: seconds
    after which no heavy method is begun. jobs: columns that learn at the same time.
    """

    methods: Mapping[str, str]
    of_names: str
    constants: Mapping[str, float]
    decimals: Mapping[str, int | None]
    seed: int = 0
    budget_s: float | None = None
    jobs: int = 1

    def method(self, name: str) -> str:
        """The method for one column."""
        return self.methods.get(name, "auto")

    def method_of_name(self, name: str) -> str:
        """The method for a number that is a name: of those for numbers only one suits it."""
        return "most_frequent" if self.method(name) == "most_frequent" else self.of_names


def learn_filling(columns: Columns, wanted: Wanted) -> Filling:
    """Learn to fill every number and category of these columns, those without gaps simply."""
    deadline = None if wanted.budget_s is None else time.monotonic() + wanted.budget_s
    roles = replace(learn_roles(columns, wanted.seed), texts=_texts(columns, wanted))
    wanted = _in_units(wanted, roles)
    rows = _in_order(roles.rows(columns))
    levels = _levels(columns, roles)
    unfilled = rows.keys
    categories, judged, rows = _learn_categories(rows, roles, levels, wanted)
    table = _Table(
        rows, levels, _has_calendar(columns, roles), wanted, deadline, categories, unfilled
    )
    numbers, judged_numbers, surroundings = _learn_numbers(table)
    return Filling(roles, numbers, categories, surroundings, {**judged, **judged_numbers})


def _in_units(wanted: Wanted, roles: Roles) -> Wanted:
    """What is asked of columns that have a unit of their own, counted in it."""
    constants = {name: value / roles.unit(name) for name, value in wanted.constants.items()}
    decimals = {n: places for n, places in wanted.decimals.items() if n not in roles.units}
    return replace(wanted, constants=constants, decimals=decimals)


def _texts(columns: Columns, wanted: Wanted) -> tuple[str, ...]:
    """The columns of texts, where a method is asked for that reads them."""
    asked = {wanted.of_names, *map(wanted.method, columns)}
    return tuple(n for n, c in columns.items() if c.kind == "text" and asked & READ_TEXTS)


def _levels(columns: Columns, roles: Roles) -> dict[str, int]:
    levels = {name: len(columns[name].levels) + 1 for name in roles.categories}
    return levels | {name: len(known) + 1 for name, known in roles.coded.items()}


def _in_order(rows: Rows) -> Rows:
    """Rows in the order of time: gaps lie along it, and many sorts become short."""
    return rows if rows.axis is None else rows.take(in_order(rows.axis))


def _has_calendar(columns: Columns, roles: Roles) -> bool:
    return roles.axis is not None and columns[roles.axis].kind == "moment"


# --- categories -------------------------------------------------------------------------------


def _learn_categories(
    rows: Rows, roles: Roles, levels: Mapping[str, int], wanted: Wanted
) -> tuple[dict[str, CategoryFill], dict[str, Judged], Rows]:
    """A fill for each category; the rows that come back have none of their gaps left."""
    names = (*roles.categories, *roles.as_names)
    gaps = {name: rows.keys[name] < 0 for name in names}
    table = _hidden_keys(rows, levels, names, gaps, wanted.seed)
    fills, judged, filled = {}, {}, {}
    for name in names:
        start = time.process_time()
        is_name = name in roles.as_names
        method = wanted.method_of_name(name) if is_name else wanted.method(name)
        fill, verdict = _learn_category(name, table, method, wanted.seed)
        missing = np.flatnonzero(gaps[name])
        spent = time.process_time() - start
        fills[name], judged[name] = fill, replace(verdict, gaps=len(missing), seconds=spent)
        if len(missing):
            filled[name] = rows.keys[name].copy()
            filled[name][missing] = fill.of(rows.take(missing))
    return fills, judged, rows.with_keys(filled)


@dataclass(frozen=True)
class _Keys:
    """The rows that categories learn from, and those of their cells that are hidden.

    gaps, hidden: of the categories and then of the numbers. judges: by category, the hidden rows
    that judge. edges: the bounds of the numbers' bands. sight: what is left to see of some rows.
    """

    rows: Rows
    levels: Mapping[str, int]
    names: tuple[str, ...]
    gaps: Mask
    hidden: Mask
    judges: Mapping[str, NDArray[np.intp]]
    edges: Mapping[str, Numbers]
    sight: Sight

    def banded(self, keys: Sequence[str]) -> Rows:
        """All rows, with those of these keys that are bands of numbers."""
        return with_bands(self.rows, {key: self.edges[key] for key in keys if key in self.edges})

    def rounds(self, name: str, seed: int) -> Iterator[tuple[Mask, NDArray[np.intp]]]:
        """What is hidden, and the rows of it that teach a category: once, or of few rows again."""
        place, known = self.names.index(name), len(self.judges[name])
        yield self.hidden, self.judges[name]
        wanted = _cells_to_hide(self.rows.count, HIDDEN_KEYS)
        for more in range(1, _MOST_FOLDS):
            if known >= JUDGING_CELLS:
                return
            hidden = hidden_like(self.gaps, wanted, seed + more, len(self.names))
            new = hidden[:, place].copy()
            new[self.judges[name]] = False
            known += int(np.count_nonzero(new))
            yield hidden, np.flatnonzero(new)


def _hidden_keys(
    rows: Rows,
    levels: Mapping[str, int],
    names: tuple[str, ...],
    gaps: Mapping[str, Mask],
    seed: int,
) -> _Keys:
    """Hide cells of the categories that have gaps, together with the numbers beside them."""
    gappy = [gap for gap in gaps.values() if gap.any()]
    of_keys = side_by_side(list(gaps.values()), rows.count)
    of_numbers = side_by_side(
        [np.isnan(v) for v in rows.numbers.values()] if gappy else [], rows.count
    )
    all_gaps = beside(of_keys, of_numbers)
    hidden = hidden_like(
        all_gaps, _cells_to_hide(rows.count, 2 * HIDDEN_KEYS) // 2, seed, len(names)
    )
    where = {name: np.flatnonzero(hidden[:, place]) for place, name in enumerate(names)}
    judges = {name: rows_[:: len(rows_) // JUDGING_CELLS + 1] for name, rows_ in where.items()}
    edges = bands_of(rows.numbers) if gappy else {}
    sight = _sight(rows, levels, names, hidden, judges, edges)
    return _Keys(rows, levels, names, all_gaps, hidden, judges, edges, sight)


def _sight(
    rows: Rows,
    levels: Mapping[str, int],
    names: tuple[str, ...],
    hidden: Mask,
    judges: Mapping[str, NDArray[np.intp]],
    edges: Mapping[str, Numbers],
) -> Sight:
    """Rows by which keys are tried: all of a short table; of a long one every n-th, and judges."""
    is_tried = np.zeros(rows.count, dtype=bool)
    is_tried[:: rows.count // _TRIED_ROWS + 1] = True
    for where in judges.values():
        is_tried[where] = True
    places = np.flatnonzero(is_tried)
    some = _without(with_bands(rows.take(places), edges), names, hidden[places])
    many = [name for name, count in levels.items() if count * _ROWS_A_GROUP > len(places)]
    marks = dict(zip(names, hidden.T, strict=False))
    long = {
        name: np.where(marks[name], -1, rows.keys[name]) if name in marks else rows.keys[name]
        for name in many
        if len(places) < rows.count
    }
    return Sight(some, places, long)


def _without(rows: Rows, names: Sequence[str], hidden: Mask) -> Rows:
    """The rows without their hidden cells: of some keys first, and then of all numbers, if any."""
    marks = dict(zip((*names, *rows.numbers), hidden.T, strict=False))
    marks = {name: mark for name, mark in marks.items() if mark.any()}
    marks |= {band_of(name): mark for name, mark in marks.items() if name in rows.numbers}
    keys = {n: np.where(mark, -1, rows.keys[n]) for n, mark in marks.items() if n in rows.keys}
    numbers = {
        n: np.where(mark, np.nan, rows.numbers[n]) for n, mark in marks.items() if n in rows.numbers
    }
    return rows.with_keys(keys).with_numbers(numbers)


def _learn_category(name: str, table: _Keys, method: str, seed: int) -> tuple[CategoryFill, Judged]:
    target, count, hidden = table.rows.keys[name], table.levels[name], table.judges[name]
    constant = int(np.argmax(np.bincount(target + 1, minlength=2)[1:]))
    simple = CategoryFill("most_frequent", constant)
    if method == "most_frequent" or not len(hidden):
        wrong = float(np.mean(target[hidden] != constant)) if len(hidden) else None
        errors = {} if wrong is None else {"most_frequent": wrong}
        return simple, Judged("most_frequent", errors, len(hidden))
    candidates = [key for key in table.sight.rows.keys if key != name]
    is_constant = target[hidden] == constant
    keys, is_right = choose_keys(target, hidden, table.sight, count, candidates)
    errors = {"most_frequent": _wrong(is_constant), "evidence": _wrong(is_right)}
    if method in MODELS:
        return _learn_classified(name, table, keys, (method, errors, constant, seed))
    gained = is_right.astype(float) - is_constant
    if not keys or gained.mean() <= _OF_CHOSEN_KEYS * gained.std() / np.sqrt(len(gained)):
        return simple, Judged("most_frequent", errors, len(hidden), recoverable=False)
    evidence = learn_evidence(target, table.banded(keys), count, keys, table.edges)
    return CategoryFill("evidence", constant, evidence), Judged("evidence", errors, len(hidden))


def _wrong(is_right: Mask) -> float:
    return float(1 - is_right.mean())


def _learn_classified(
    name: str, table: _Keys, keys: list[str], asked: tuple[str, dict[str, float], int, int]
) -> tuple[CategoryFill, Judged]:
    """The classifier that was asked for, learnt on hidden rows but a quarter of them, who judge."""
    method, errors, constant, seed = asked
    truth, rows = table.rows.keys[name], table.banded(keys)
    if method not in READ_TEXTS:
        rows = replace(rows, texts={})
    rounds = list(table.rounds(name, seed))
    is_judge = _judges(len(rounds[0][1]), 0, len(rounds), seed)
    lessons, judges = [], rounds[0][1][is_judge]
    for fold, (hidden, taught) in enumerate(rounds):
        seen = np.where(hidden[:, table.names.index(name)], -1, truth)
        left = _without(rows, table.names, hidden)
        evidence = learn_evidence(seen, left, table.levels[name], keys, table.edges)
        students = taught[~is_judge] if fold == 0 else taught
        lessons.append(Lesson(evidence, left.take(students), truth[students]))
        if fold == 0:
            judging = left.take(judges)
    told = np.concatenate([one.target for one in lessons])
    if len(np.unique(told)) < 2:  # noqa: PLR2004 - nothing to tell apart
        cells = len(rounds[0][1])
        return CategoryFill("most_frequent", constant), Judged("most_frequent", errors, cells)
    model = learn_classifier(method, lessons, seed)
    if len(judges):
        errors[method] = float(np.mean(model.predict(judging) != truth[judges]))
    recoverable = errors.get(method, 1.0) < errors["most_frequent"]
    verdict = Judged(method, errors, len(judges), recoverable=recoverable)
    return CategoryFill(method, constant, model), verdict


# --- numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """The rows that numbers learn from, and how.

    categories: the fills of keys; in the rows their gaps are filled. unfilled: the keys with gaps.
    """

    rows: Rows
    levels: Mapping[str, int]
    has_calendar: bool
    wanted: Wanted
    deadline: float | None
    categories: Mapping[str, CategoryFill]
    unfilled: Mapping[str, Codes]

    def has_time_for(self, seconds: float) -> bool:
        """Whether a method that takes about so long may be begun."""
        return self.deadline is None or time.monotonic() + seconds < self.deadline


@dataclass(frozen=True)
class _Lesson:
    """Hidden cells of one column: what was told of them, and their true values."""

    told: Told
    truth: Numbers
    is_judge: Mask


def _learn_numbers(
    table: _Table,
) -> tuple[dict[str, NumberFill], dict[str, Judged], dict[str, Surroundings]]:
    numbers, wanted = table.rows.numbers, table.wanted
    fills = {name: _constant(name, values, wanted) for name, values in numbers.items()}
    judged = {n: Judged(fills[n].method, gaps=int(np.isnan(v).sum())) for n, v in numbers.items()}
    targets = tuple(
        n for n in numbers if judged[n].gaps and _is_learnt(numbers[n], wanted.method(n))
    )
    if not targets:
        return fills, judged, {}
    plans = choose_plans(targets, table.rows, table.levels)
    designs = _designs(targets, plans, table)
    lessons, surroundings = _lessons(designs, plans, table)
    with ThreadPoolExecutor(max(1, wanted.jobs)) as pool:
        found = pool.map(
            lambda name: _learn_number(fills[name], designs[name], lessons[name], table), targets
        )
        for name, (fill, verdict) in zip(targets, found, strict=True):
            fills[name] = fill
            judged[name] = replace(verdict, gaps=judged[name].gaps)
    needed = sorted({one for name in targets for one in fills[name].needs(name)})
    others = {name: numbers[name] for name in needed if name not in surroundings}
    surroundings |= learn_surroundings(others, table.rows, plans)
    return fills, judged, {name: surroundings[name] for name in needed}


def _designs(
    targets: tuple[str, ...], plans: Mapping[str, Plan], table: _Table
) -> dict[str, Design]:
    """What the estimator of each target sees, chosen by some of the rows."""
    rows = table.rows
    some = rows.take(np.arange(0, rows.count, rows.count // _DESIGNED_ROWS + 1))
    rest = {
        name: left_by_groups(plans[name].groups(plans[name].time_key, some), some.numbers[name])
        for name in targets
    }
    designs = {
        name: design_for(name, targets, some, rest, has_calendar=table.has_calendar)
        for name in targets
    }
    reading = {name for name in targets if table.wanted.method(name) in READ_TEXTS}
    texts = tuple(rows.texts)
    return {n: replace(one, texts=texts) if n in reading else one for n, one in designs.items()}


def _is_learnt(values: Numbers, method: str) -> bool:
    return method not in SIMPLE_NUMBERS and int((~np.isnan(values)).sum()) >= _LEAST_KNOWN


def _constant(name: str, values: Numbers, wanted: Wanted) -> NumberFill:
    gaps = np.isnan(values)
    known = values[~gaps] if gaps.any() else values
    method = wanted.method(name) if wanted.method(name) in SIMPLE_NUMBERS else "median"
    if not gaps.any():
        # For later rows alone; to sort all of a long column for them would be dear.
        known = known[:: len(known) // _SORTED_ROWS + 1]
    value = wanted.constants.get(name, 0.0)
    if len(known) and method != "constant":
        value = _simple_value(known, method)
    decimals = wanted.decimals.get(name)
    return NumberFill(method, value if decimals is None else round(value, decimals))


def _simple_value(known: Numbers, method: str) -> float:
    if method == "most_frequent":
        levels, counts = np.unique(known, return_counts=True)
        return float(levels[np.argmax(counts)])
    return float(known.mean()) if method == "mean" else median_of(known)


def _cells(methods: Iterable[str], count: int) -> int:
    """How many cells a column learns from; in a long table a line is known from fewer."""
    is_line = all(method in ("linear", *FREE) for method in methods)
    return LINE_CELLS if is_line and count > _LONG_ROWS else TRAINING_CELLS


def _cells_to_hide(count: int, cells: int) -> int:
    return max(min(cells, int(_HIDDEN_SHARE * count)), 1)


def _lessons(
    designs: Mapping[str, Design], plans: Mapping[str, Plan], table: _Table
) -> tuple[dict[str, _Lesson], dict[str, Surroundings]]:
    """Hide cells, once for a long table and several times for a short one, and ask about them.

    A long table keeps the surroundings that were learnt without the few hidden cells; to learn all
    of it again would double the cost for the sake of a few in a hundred.
    """
    rows, targets = table.rows, tuple(designs)
    cells = _cells((table.wanted.method(name) for name in targets), rows.count)
    gaps = side_by_side([np.isnan(rows.numbers[name]) for name in targets], rows.count)
    keys = [table.unfilled[name] < 0 for name in table.categories]
    all_gaps = beside(gaps, side_by_side(keys, rows.count))
    per_fold = _cells_to_hide(rows.count, cells)
    folds = int(np.clip(np.ceil(cells / per_fold), 1, _MOST_FOLDS))
    parts: dict[str, list[_Lesson]] = {name: [] for name in targets}
    has_judged = np.zeros_like(gaps)
    for fold in range(folds):
        hidden = hidden_like(all_gaps, per_fold, table.wanted.seed + fold, len(targets))
        # Another round may hide the same cells; who has learnt them would judge by heart.
        new = hidden[:, : len(targets)] & ~has_judged
        wanted = {
            name: _spread(np.flatnonzero(new[:, place]), int(cells / (1 - _JUDGED_SHARE)))
            for place, name in enumerate(targets)
        }
        told, around = _asked(hidden, wanted, designs, plans, table)
        for place, name in enumerate(targets):
            judges = _judges(len(wanted[name]), fold, folds, table.wanted.seed)
            has_judged[wanted[name][judges], place] = True
            parts[name].append(_Lesson(told[name], rows.numbers[name][wanted[name]], judges))
    kept = around if rows.count > _LONG_ROWS else {}
    return {name: _joined(lessons) for name, lessons in parts.items()}, kept


def _spread(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the rows, from first to last: they lie in time, which changes things."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]


def _judges(count: int, fold: int, folds: int, seed: int) -> Mask:
    """A quarter of all cells, and all of it in the first round, at random."""
    share = _JUDGED_SHARE * folds if fold == 0 else 0.0
    return np.random.default_rng(seed).random(count) < share


def _asked(
    hidden: Mask,
    wanted: Mapping[str, NDArray[np.intp]],
    designs: Mapping[str, Design],
    plans: Mapping[str, Plan],
    table: _Table,
) -> tuple[dict[str, Told], dict[str, Surroundings]]:
    """What is told of rows with hidden cells, by target, by all that is not hidden."""
    rows = table.rows
    left = {
        name: np.where(hidden[:, place], np.nan, rows.numbers[name])
        for place, name in enumerate(designs)
    }
    around = learn_surroundings(left, rows, plans)
    is_asked = np.zeros(rows.count, dtype=bool)
    for which in wanted.values():
        is_asked[which] = True
    asked = np.flatnonzero(is_asked)
    seen = _refilled(rows.with_numbers(left).take(asked), hidden[asked, len(designs) :], table)
    places = {name: np.searchsorted(asked, which) for name, which in wanted.items()}
    needs = {name: (name, *design.partners) for name, design in designs.items()}
    return ask_all(around, seen, places, needs), around


def _refilled(rows: Rows, hidden: Mask, table: _Table) -> Rows:
    """Rows in whose hidden keys stands what they would be filled with."""
    names = [name for name, gaps in zip(table.categories, hidden.T, strict=False) if gaps.any()]
    if not names:
        return rows
    left = _without(rows, tuple(table.categories), hidden)
    keys = {name: left.keys[name].copy() for name in names}
    for name in names:
        gaps = np.flatnonzero(left.keys[name] < 0)
        keys[name][gaps] = table.categories[name].of(left.take(gaps))
    return rows.with_keys(keys)


def _joined(lessons: Sequence[_Lesson]) -> _Lesson:
    if len(lessons) == 1:
        return lessons[0]
    rows = [lesson.told.rows for lesson in lessons]
    joined = Rows(
        {n: np.concatenate([one.numbers[n] for one in rows]) for n in rows[0].numbers},
        {n: np.concatenate([one.keys[n] for one in rows]) for n in rows[0].keys},
        None if rows[0].axis is None else np.concatenate([one.axis for one in rows]),
        sum(one.count for one in rows),
        {n: np.concatenate([one.texts[n] for one in rows]) for n in rows[0].texts},
    )
    first = lessons[0].told.of
    of = {
        name: said.beside([one.told.of[name] for one in lessons[1:]])
        for name, said in first.items()
    }
    return _Lesson(
        Told(joined, of),
        np.concatenate([one.truth for one in lessons]),
        np.concatenate([one.is_judge for one in lessons]),
    )


@dataclass
class _Race:
    """The candidates for one column and their errors, RMSE over the truth's standard deviation.

    mean: of the known values; a fill that is no better than the mean has found nothing, and beside
    the median of skewed values it would look as if it had. beats: whether a candidate did better
    than both by enough, and not by luck.
    """

    name: str
    lesson: _Lesson
    errors: dict[str, float]
    estimators: dict[str, Estimator]
    mean: float
    beats: dict[str, bool] = field(default_factory=dict)

    @property
    def judges(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.lesson.is_judge)

    def judge(self, method: str, estimate: Numbers) -> float:
        """Keep the error of an estimate for the judging cells."""
        truth = self.lesson.truth[self.judges]
        spread = float(np.std(self.lesson.truth)) or 1.0
        squares = np.square(estimate - truth)
        self.errors[method] = float(np.sqrt(np.mean(squares))) / spread
        by_mean = np.square(self.mean - truth)
        self.beats[method] = self._is_enough(method) and _is_gain(by_mean, squares)
        return self.errors[method]

    def _is_enough(self, method: str) -> bool:
        return self.errors[method] <= (1 - LEAST_GAIN) * self.errors["median"]


def _is_gain(before: Numbers, after: Numbers) -> bool:
    """Whether squared errors became smaller by enough, and not by luck."""
    gained = before - after
    chance = float(np.std(gained)) / np.sqrt(len(gained))
    is_enough = np.sqrt(np.mean(after)) <= (1 - LEAST_GAIN) * np.sqrt(np.mean(before))
    return bool(is_enough and np.mean(gained) > LEAST_CERTAINTY * chance)


def _learn_number(
    simple: NumberFill, design: Design, lesson: _Lesson, table: _Table
) -> tuple[NumberFill, Judged]:
    """Let the candidates learn, judge them, and take the best or the one that was asked for."""
    start = time.thread_time()
    name = design.target
    method, decimals = table.wanted.method(name), table.wanted.decimals.get(name)
    race = _Race(name, lesson, {}, {}, _mean_of(table.rows.numbers[name]))
    if len(race.judges) < 2 or lesson.is_judge.all():  # noqa: PLR2004 - nothing to judge by
        return simple, Judged(simple.method, recoverable=False)
    race.judge("median", np.full(len(race.judges), simple.constant))
    _let_race(race, design, IN_RACE if method == "auto" else (method,), table)
    chosen = _winner(race) if method == "auto" else method
    seconds = time.thread_time() - start
    beats = race.beats.get(chosen, False)
    verdict = Judged(chosen, race.errors, len(race.judges), 0, seconds, beats)
    if chosen in FREE:
        return NumberFill(chosen, simple.constant, decimals=decimals), verdict
    if chosen not in race.estimators:
        return simple, verdict
    fill = NumberFill(chosen, simple.constant, design, race.estimators[chosen], decimals)
    return fill, verdict


def _mean_of(values: Numbers) -> float:
    known = ~np.isnan(values)
    return float(values.sum(where=known) / np.count_nonzero(known))


def _winner(race: _Race) -> str:
    """The one with the least error of those that are worth anything beside the median."""
    worthy = [method for method, beats in race.beats.items() if beats]
    return min(worthy, key=lambda method: race.errors[method], default="median")


def _let_race(race: _Race, design: Design, methods: Sequence[str], table: _Table) -> None:
    told = race.lesson.told
    for method in methods:
        if method in FREE:
            race.judge(method, told.of[race.name][FREE[method]][race.judges])
    learnt = [method for method in methods if method in LEARN]
    if not learnt:
        return
    matrix = design.matrix(told)
    students = _spread(np.flatnonzero(~race.lesson.is_judge), TRAINING_CELLS)
    for method in learnt:
        if _is_worth_a_try(race, matrix, students, design.clues, table):
            estimator = _learn(method, matrix, race.lesson.truth, students, design.clues, table)
            race.judge(method, estimator.predict(some_rows(matrix, race.judges)))
            race.estimators[method] = estimator


def _learn(
    method: str,
    matrix: Matrix,
    truth: Numbers,
    students: NDArray[np.intp],
    clues: int,
    table: _Table,
) -> Estimator:
    return LEARN[method](some_rows(matrix, students), truth[students], clues, table.wanted.seed)


def _is_worth_a_try(
    race: _Race, matrix: Matrix, students: NDArray[np.intp], clues: int, table: _Table
) -> bool:
    """In a race, a heavy method is tried small first: does it gain anything on the linear one?"""
    if "linear" not in race.errors:
        return True
    if not table.has_time_for(1.0):
        return False
    from ml_platform.preparation.estimators import learn_boosted

    few = students[:: max(len(students) // _PROBE_CELLS, 1)]
    probe = learn_boosted(
        some_rows(matrix, few), race.lesson.truth[few], clues, table.wanted.seed, _PROBE_TREES
    )
    some = race.judges[:_PROBE_CELLS]
    truth = race.lesson.truth[some]
    gained = np.mean(np.square(probe.predict(some_rows(matrix, some)) - truth))
    before = np.mean(np.square(probe.linear.predict(some_rows(matrix, some)) - truth))
    return bool(gained < (1 - _PROBE_GAIN) * before)
