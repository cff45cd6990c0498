"""A paper's tables and claims as they are written: facts beside which a study is shown, in no key."""

from typing import Annotated, Literal

from pydantic import Field

from layerscope.jobs.specs.spec import PositiveFloat, PositiveInt, Strict

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

TEST_ERROR = "test error in %"
"""The measure of a table that can be set beside a study's own scores."""

Value = bool | int | float | str | tuple[int | str, ...]
"""A factor's value as an experiment writes it; `none` where it is null there."""


class Bounds(Strict):
    """Any number within bounds."""

    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None


Where = dict[str, Value]
"""Factors of a recipe and their values; those that are not named may have any. `encoder` is one, too."""
WhereAny = dict[str, Value | Bounds]
"""The same with bounds: several conditions may meet it."""


class DataSet(Strict):
    """What the paper says of a data set; lengths are in tokens."""

    num_classes: PositiveInt
    kind: str
    average_length: PositiveInt
    longest: PositiveInt
    percent_exceeding: Annotated[float, Field(ge=0, le=100)]
    """Texts longer than the paper's `max_length`."""
    num_train: PositiveInt
    num_test: PositiveInt


class Setting(Strict):
    """What the paper's numbers rest on, unless a row says otherwise."""

    encoder: str
    num_layers: PositiveInt
    max_length: PositiveInt


class Row(Strict):
    """One row of a table."""

    row: str
    """The paper's name for it."""
    where: Where | None = None
    """The recipe that our factors spell; none where no recipe of ours is this."""
    values: dict[Word, float]
    """By data set."""


class Table(Strict):
    """A table, or what is known of a figure."""

    table: Word
    title: str
    measure: str = TEST_ERROR
    otherwise: Where = {}
    """What its recipes have in factors that a row does not name: such conditions come first."""
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]


class Better(Strict):
    """A recipe has a lower test error than each of the others, in every task."""

    kind: Literal["better"] = "better"
    where: WhereAny
    than: Annotated[tuple[WhereAny, ...], Field(min_length=1)]


class NoWorse(Strict):
    """A recipe is not behind any of the others by the margin or more."""

    kind: Literal["no_worse"] = "no_worse"
    where: WhereAny
    than: Annotated[tuple[WhereAny, ...], Field(min_length=1)]
    margin: PositiveFloat
    """Percentage points of test error that count as no difference."""


class SomeBetter(Strict):
    """At least one of the recipes that meet `where` has a lower test error than the other, in every task."""

    kind: Literal["some_better"] = "some_better"
    where: WhereAny
    than: WhereAny


class OnAverage(Strict):
    """A recipe has a lower test error than another on the average of the tasks."""

    kind: Literal["on_average"] = "on_average"
    where: WhereAny
    than: WhereAny


class GainsLess(Strict):
    """A recipe gains less over a third than another does, on the average of the tasks."""

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
    """The factor; where it has no value (null) it is the highest."""


class Diverges(Strict):
    """Training with the recipe diverges or does not learn, with every seed."""

    kind: Literal["diverges"] = "diverges"
    where: WhereAny


Check = Better | NoWorse | SomeBetter | OnAverage | GainsLess | GainGrows | Diverges


class Claim(Strict):
    """What a paper concludes, as a check of a study's own runs."""

    claim: Word
    says: str
    source: str
    """Where the paper says so."""
    tasks: tuple[Word, ...] = ()
    """The paper's data sets of which it speaks; all where none is named."""
    otherwise: Where = {}
    """The paper's values of factors that the check does not name: of our settings, such are looked at."""
    check: Annotated[Check, Field(discriminator="kind")]


class Paper(Strict):
    """A paper's numbers, typed in."""

    paper: Word
    title: str
    source: str
    setting: Setting | None = None
    data: dict[Word, DataSet] = {}
    tables: tuple[Table, ...] = ()
    claims: tuple[Claim, ...] = ()
