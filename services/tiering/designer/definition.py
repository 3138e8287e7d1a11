"""What a person composes (报表定义): dataset, groups, measures, filters, chart, order. Closed lists throughout; never SQL."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from services.tiering.designer.datasets import DATASETS, Dataset
from services.tiering.designer.fields import GROUPABLE, NUMBERS, TIMES, read_value
from services.tiering.designer.fields import Field as DatasetField
from shared.problems import Invalid
from shared.schemas import MonthText, StrictModel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]
MeasureKind = Literal["sum", "count", "average", "share", "min", "max", "distinct"]
Operator = Literal["eq", "ne", "in", "lt", "le", "gt", "ge", "between", "known", "unknown"]
ChartChoice = Literal["bar", "line", "pie", "table"]
Word = Annotated[str, StringConstraints(max_length=100)]
Whole = Annotated[int, Field(ge=-(10**15), le=10**15)]


def _whole(value: Any) -> Any:
    """Take 1.0 for 1, as JSON Schema does."""
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


FilterValue = Annotated[
    Word | Whole | bool | Annotated[list[Word | Whole], Field(max_length=200)] | None, BeforeValidator(_whole)
]
ORDERED = frozenset({"lt", "le", "gt", "ge", "between"})
MOST_MONTHS = 120


class Measure(StrictModel):
    """What is counted of each group; `count` needs no field."""

    kind: MeasureKind
    field: Name | None = None

    @property
    def key(self) -> str:
        """The name of the measure's column."""
        return f"{self.kind}_{self.field}" if self.field else self.kind


class Filter(StrictModel):
    """Which rows count; `in` takes a list, `between` a list of two (both included), `known` and `unknown` no value."""

    field: Name
    op: Operator
    value: FilterValue = None


class Period(StrictModel):
    """The months a report is about: from `first` to `last`, or the `last_months` before the month of the run."""

    first: MonthText | None = None
    last: MonthText | None = None
    last_months: Annotated[int, Field(ge=1, le=MOST_MONTHS)] | None = None


class Sort(StrictModel):
    """The order of the rows: by a group or by a measure (`sum_amount_fen`, `count`)."""

    by: Name
    descending: bool = True


class Definition(StrictModel):
    """A report: rows of a dataset in a period, grouped, measured, filtered, drawn, ordered, cut."""

    dataset: Name
    group: Annotated[list[Name], Field(max_length=3)] = []
    measures: Annotated[list[Measure], Field(min_length=1, max_length=8)]
    filters: Annotated[list[Filter], Field(max_length=10)] = []
    period: Period | None = Field(default=None, description="A report without one is refused: it would read all there ever was.")
    chart: ChartChoice = "table"
    sort: Sort | None = None
    top: Annotated[int, Field(ge=1, le=10_000)] | None = None


def check(definition: Definition) -> Dataset:
    """Return the dataset of a definition that can be answered. Raises Invalid with the rule that it breaks."""
    dataset = DATASETS.get(definition.dataset)
    if dataset is None:
        raise Invalid(f"There is no dataset {definition.dataset}: {', '.join(DATASETS)}.", "unknown-dataset")
    _check_period(definition.period)
    for name in definition.group:
        if _field(dataset, name).kind not in GROUPABLE:
            raise Invalid(f"A report is not grouped by {name}: it is a number or an instant.", "bad-report-group")
    for measure in definition.measures:
        _check_measure(dataset, measure)
    for one in definition.filters:
        filter_values(_field(dataset, one.field), one)
    keys = [*definition.group, *(measure.key for measure in definition.measures)]
    if len(set(keys)) < len(keys):
        raise Invalid("A group or a measure is named twice.", "bad-report-group")
    if definition.sort is not None and definition.sort.by not in keys:
        raise Invalid(f"The report has no column {definition.sort.by}: {', '.join(keys)}.", "bad-report-sort")
    return dataset


def filter_values(field: DatasetField, one: Filter) -> Any:
    """Return a filter's value, or list of values, as the database takes it. Raises Invalid."""
    try:
        return _values(field, one)
    except ValueError as error:
        raise Invalid(f"The filter on {one.field} ({one.op}) cannot be read: {error}.", "bad-report-filter") from None


def _values(field: DatasetField, one: Filter) -> Any:
    if one.op in ("known", "unknown"):
        if one.value is not None:
            raise ValueError("it takes no value")
        return None
    if one.op in ORDERED and field.kind not in NUMBERS | TIMES:
        raise ValueError("only numbers and times have an order")
    if one.op in ("in", "between"):
        if not isinstance(one.value, list) or not one.value or (one.op == "between" and len(one.value) != 2):
            raise ValueError("a list of two values is wanted" if one.op == "between" else "a list of values is wanted")
        return [read_value(field.kind, value) for value in one.value]
    return read_value(field.kind, one.value)


def _check_period(period: Period | None) -> None:
    given = period is not None and (period.last_months is not None or (period.first is not None and period.last is not None))
    if period is None or not given:
        raise Invalid(
            "A report needs a period, `first` and `last` or `last_months`: without one it would read all there ever was.",
            "unbounded-report",
        )
    if period.last_months is not None:
        if period.first is not None or period.last is not None:
            raise Invalid("A period has `last_months`, or `first` and `last`.", "bad-report-period")
        return
    assert period.first is not None
    assert period.last is not None
    (first_year, first), (last_year, last) = ((int(text[:4]), int(text[5:])) for text in (period.first, period.last))
    months = (last_year - first_year) * 12 + last - first + 1
    if not 1 <= months <= MOST_MONTHS:
        raise Invalid(f"A period has 1 to {MOST_MONTHS} months, its last not before its first.", "bad-report-period")


def _check_measure(dataset: Dataset, measure: Measure) -> None:
    if measure.kind == "count":
        if measure.field is not None:
            raise Invalid("`count` counts rows and takes no field; `distinct` counts values.", "bad-report-measure")
        return
    if measure.field is None:
        raise Invalid(f"The measure {measure.kind} needs a field.", "bad-report-measure")
    kind = _field(dataset, measure.field).kind
    allowed = measure.kind == "distinct" or kind in NUMBERS or (measure.kind in ("min", "max") and kind in TIMES)
    if not allowed:
        raise Invalid(f"{measure.field} is {kind}: it has no {measure.kind}.", "bad-report-measure")


def _field(dataset: Dataset, name: str) -> DatasetField:
    found = dataset.fields.get(name)
    if found is None:
        raise Invalid(f"The dataset {dataset.name} has no field {name}: {', '.join(dataset.fields)}.", "unknown-field")
    return found
