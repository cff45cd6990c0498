"""A paper's tables and claims, for comparison with a study; in no key."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Strict

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

TEST_ERROR = "test error in %"
"""The measure of tables that are comparable with a study's scores."""

Value = bool | int | float | str | tuple[int | str, ...]
"""A factor's value as in an experiment file; `none` for null."""


class Bounds(Strict):
    """A number within bounds."""

    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None


Where = dict[str, Value]
"""Factors of a recipe and their values; other factors may have any value. `encoder` is a factor, too."""
WhereAny = dict[str, Value | Bounds]
"""The same with bounds: several conditions may match."""


class DataSet(Strict):
    """The paper's description of a data set; lengths are in tokens."""

    num_classes: PositiveInt
    kind: str
    average_length: PositiveInt
    longest: PositiveInt
    percent_exceeding: Annotated[float, Field(ge=0, le=100)]
    """Texts longer than the paper's `max_length`."""
    num_train: PositiveInt
    num_test: PositiveInt


class Setting(Strict):
    """The paper's setting, unless a row differs."""

    encoder: str
    num_layers: PositiveInt
    max_length: PositiveInt


class Row(Strict):
    """One row of a table."""

    row: str
    """The paper's name of the row."""
    where: Where | None = None
    """The recipe in our factors; null if no recipe of ours matches."""
    values: dict[Word, float]
    """By data set."""


class Table(Strict):
    """A table, or the known values of a figure."""

    table: Word
    title: str
    measure: str = TEST_ERROR
    otherwise: Where = {}
    """Values of factors that a row does not name: matching conditions are preferred."""
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]


class Better(Strict):
    """A recipe has a lower test error than each of the others, in every task."""

    kind: Literal["better"] = "better"
    where: WhereAny
    than: Annotated[tuple[WhereAny, ...], Field(min_length=1)]


class NoWorse(Strict):
    """A recipe is not worse than any of the others by the margin or more."""

    kind: Literal["no_worse"] = "no_worse"
    where: WhereAny
    than: Annotated[tuple[WhereAny, ...], Field(min_length=1)]
    margin: PositiveFloat
    """Percentage points of test error that count as no difference."""


class SomeBetter(Strict):
    """At least one of the recipes that match `where` has a lower test error than the other, in every task."""

    kind: Literal["some_better"] = "some_better"
    where: WhereAny
    than: WhereAny


class OnAverage(Strict):
    """A recipe has a lower test error than another, averaged over the tasks."""

    kind: Literal["on_average"] = "on_average"
    where: WhereAny
    than: WhereAny


class GainsLess(Strict):
    """A recipe gains less over a third than another does, averaged over the tasks."""

    kind: Literal["gains_less"] = "gains_less"
    where: WhereAny
    than: WhereAny
    over: WhereAny


class GainGrows(Strict):
    """The gain of a recipe over another is larger at the lowest value of a factor than at the highest."""

    kind: Literal["gain_grows"] = "gain_grows"
    where: WhereAny
    over: WhereAny
    as_falls: str
    """The factor; null counts as the highest value."""


class Diverges(Strict):
    """Training with the recipe diverges or does not learn, with every seed."""

    kind: Literal["diverges"] = "diverges"
    where: WhereAny


Check = Better | NoWorse | SomeBetter | OnAverage | GainsLess | GainGrows | Diverges


class Claim(Strict):
    """A paper's conclusion, as a check on a study's runs."""

    claim: Word
    says: str
    source: str
    """Place in the paper."""
    tasks: tuple[Word, ...] = ()
    """The paper's data sets that the claim is about; all if empty."""
    otherwise: Where = {}
    """The paper's values of factors that the check does not name: matching settings are preferred."""
    check: Annotated[Check, Field(discriminator="kind")]


class Paper(Strict):
    """A paper's numbers and claims."""

    paper: Word
    title: str
    source: str
    setting: Setting | None = None
    data: dict[Word, DataSet] = {}
    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()
