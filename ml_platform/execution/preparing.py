"""The options of an automatic preparation as YAML has them, for every component that prepares.

The words and what they mean are those of `preparation.transformer.AutoPrepare`, which is heavy to
load; a test holds the two together. `false`, which is what YAML reads for off, is off.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from ml_platform.execution.component import Declared

Missing = Literal[
    "auto", "mean", "median", "most_frequent", "constant", "group", "time", "linear", "linreg",
    "boosted", "gradient_boosted", "knn", "neural", "delete", "off", False,
]  # fmt: skip
MissingCategory = Literal[
    "auto", "most_frequent", "evidence", "logistic", "logreg", "boosted", "knn", "neural", "own",
    "delete", "off", False,
]  # fmt: skip
Outliers = Literal["auto", "iqr", "winz", "zscore", "flag", "forest", "delete", "off", False]
Encode = Literal[
    "auto", "onehot", "one-hot", "ordinal", "label", "target", "frequency", "hashing", "off", False
]
Dates = Literal["auto", "Y", "M", "D", "h", "m", "s", "off", False]
Text = Literal["string", "minhash", "gap", "off", False]
Duplicates = Literal["auto", "exact", "off", True, False]

_PAIR = 2


class ColumnOptions(Declared):
    """What one column says for itself; what it does not say is as for the whole table."""

    missing: Literal[Missing, MissingCategory] | None = Field(
        default=None, description="How its gaps are filled; a word for numbers or for categories."
    )
    outliers: Outliers | None = Field(default=None, description="What is done to outliers.")
    encode: Encode | None = Field(default=None, description="How its categories become numbers.")
    dates: Dates | None = Field(default=None, description="The finest part taken of its dates.")
    text: Text | None = Field(default=None, description="How its free text becomes numbers.")


class PreparationOptions(Declared):
    """What is asked of a preparation; everything that is not said is `auto`."""

    mode: Literal["auto", "manual"] = Field(
        default="auto", description="What an option that is not given is: auto, or off in manual."
    )
    duplicates: Duplicates | None = Field(
        default=None, description="Whether rows that are wholly alike are dropped, all but one."
    )
    duplicate_keys: list[str] | None = Field(
        default=None,
        description="Columns that make rows duplicates when they agree; the first row stays.",
    )
    near_duplicates: dict[str, float] | None = Field(
        default=None,
        description="Columns whose nearly equal texts make rows duplicates, and how similar of 1.",
    )
    missing_num: Missing | None = Field(
        default=None, description="How gaps in numbers are filled; auto measures what does best."
    )
    missing_categ: MissingCategory | None = Field(
        default=None, description="How gaps in categories are filled; auto measures."
    )
    fill_value: float = Field(default=0.0, description="The number for `missing_num: constant`.")
    indicators: bool | Literal["auto"] = Field(
        default=False,
        description="A column <name>_missing for each that has gaps; auto: where no method could "
        "tell what is missing.",
    )
    outliers: Outliers | None = Field(
        default=None, description="What is done to outliers; auto moves them to the usual bounds."
    )
    outlier_param: float | None = Field(
        default=None,
        gt=0,
        description="How many interquartile ranges (iqr) or deviations (zscore) are usual.",
    )
    outlier_skip: list[str] | None = Field(
        default=None, description="Columns whose outliers are left alone."
    )
    encode_categ: Encode | None = Field(
        default=None, description="How categories become numbers; auto by how many there are."
    )
    extract_datetime: Dates | None = Field(
        default=None, description="The finest part taken of dates, from Y (year) to s (second)."
    )
    cyclical: bool = Field(
        default=False, description="Parts of dates as sine and cosine too, so that 23 h is near 0."
    )
    holidays: str | None = Field(
        default=None, description="A country, like KR, whose holidays get a column a date."
    )
    durations: list[list[str]] | None = Field(
        default=None, description="Pairs of columns, [from, to], whose distance gets a column (s)."
    )
    text: Text | None = Field(
        default=None, description="How free text becomes numbers, by skrub's encoders; off."
    )
    columns: dict[str, ColumnOptions] | None = Field(
        default=None, description="What single columns say for themselves, by name."
    )
    budget_s: float | None = Field(
        default=None, gt=0, description="Seconds of learning after which no heavy method is begun."
    )
    budget_mb: float | None = Field(
        default=None,
        gt=0,
        description="MiB of memory that preparing may take; of a table that needs more a sample "
        "teaches, and it is prepared batch by batch.",
    )
    random_state: int = Field(default=0, description="The seed of all that is drawn.")
    n_jobs: int = Field(default=1, description="Columns that learn at once; -1: one a core.")

    @field_validator("durations")
    @classmethod
    def _are_pairs(cls, value: list[list[str]] | None) -> list[list[str]] | None:
        wrong = next((one for one in value or [] if len(one) != _PAIR), None)
        if wrong is not None:
            raise ValueError(f"{wrong}: each is a pair of columns, [from, to]")
        return value


def options_of(declared: BaseModel) -> dict[str, Any]:
    """What was said, as keyword arguments of `AutoPrepare`; what was not said has its defaults."""
    said = declared.model_dump(include=set(PreparationOptions.model_fields), exclude_unset=True)
    columns = said.get("columns")
    if columns:
        said["columns"] = {
            name: {what: word for what, word in own.items() if word is not None}
            for name, own in columns.items()
        }
    if said.get("durations"):
        said["durations"] = [(start, end) for start, end in said["durations"]]
    return said
