"""From a definition to its one statement: columns from the closed list, values always bound."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Select, and_, cast, distinct, false, func, or_, select

from services.tiering.designer.datasets import Dataset
from services.tiering.designer.definition import Definition, Filter, Measure, check, filter_values
from services.tiering.designer.fields import NUMBERS, Field, FieldKind
from shared.directory import in_subtree
from shared.months import add_months, month_start_instant, month_text, parse_month, quarter_start

LABELS = {"sum": "合计", "average": "平均", "share": "占比", "min": "最小", "max": "最大", "distinct": "个数"}


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the answer."""

    name: str
    label: str
    kind: FieldKind


@dataclass(frozen=True, slots=True)
class Compiled:
    """The statement of a report, its columns and its months."""

    statement: Select[Any]
    columns: tuple[Output, ...]
    first: date
    last: date

    @property
    def period_text(self) -> str:
        """The months as people read them."""
        return f"{month_text(self.first)} – {month_text(self.last)}"


def compiled(definition: Definition, unit: str, this_month: date, limit: int | None = None) -> Compiled:
    """Compile a definition for a unit's subtree; `this_month` is what `last_months` counts back from. Raises Invalid.

    `limit` cuts the answer where the definition's own `top` does not.
    """
    dataset = check(definition)
    first, last = period_of(definition, this_month)
    groups = [dataset.fields[name] for name in definition.group]
    outputs = [*(Output(one.name, one.label, one.kind) for one in groups), *(_output(dataset, m) for m in definition.measures)]
    columns = [one.column.label(one.name) for one in groups]
    columns += [_measure(dataset, measure).label(measure.key) for measure in definition.measures]
    conditions = [in_subtree(dataset.unit, unit), _in_period(dataset, first, last)]
    conditions += [_condition(dataset.fields[one.field], one) for one in definition.filters]
    if dataset.condition is not None:
        conditions.append(dataset.condition)
    statement = select(*columns).select_from(dataset.rows).where(and_(*conditions)).group_by(*(one.column for one in groups))
    if groups:
        statement = statement.order_by(*_order(definition, outputs, columns))
    cuts = [cut for cut in (definition.top, limit) if cut is not None]
    return Compiled(statement.limit(min(cuts)) if cuts else statement, tuple(outputs), first, last)


def period_of(definition: Definition, this_month: date) -> tuple[date, date]:
    """Return the first and last month of a checked definition."""
    period = definition.period
    assert period is not None
    if period.last_months is not None:
        return add_months(this_month, -period.last_months), add_months(this_month, -1)
    assert period.first is not None
    assert period.last is not None
    return parse_month(period.first), parse_month(period.last)


def _in_period(dataset: Dataset, first: date, last: date) -> ColumnElement[bool]:
    column = dataset.period
    if dataset.period_kind == "instant":
        return and_(column >= month_start_instant(first), column < month_start_instant(add_months(last, 1)))
    if dataset.quarter is not None:
        return and_(column.between(first, last), dataset.quarter.between(quarter_start(first), last))
    return column.between(quarter_start(first) if dataset.period_kind == "quarter" else first, last)


def _output(dataset: Dataset, measure: Measure) -> Output:
    if measure.field is None:
        return Output(measure.key, "行数", "count")
    field = dataset.fields[measure.field]
    kinds: dict[str, FieldKind] = {"share": "percent", "distinct": "count"}
    return Output(measure.key, f"{field.label} {LABELS[measure.kind]}", kinds.get(measure.kind, field.kind))


def _measure(dataset: Dataset, measure: Measure) -> ColumnElement[Any]:
    if measure.field is None:
        return func.count()
    column = dataset.fields[measure.field].column
    total = func.sum(cast(column, Numeric))
    if measure.kind == "share":
        return func.round(total * 100 / func.nullif(func.sum(total).over(), 0), 4)
    if measure.kind == "distinct":
        return func.count(distinct(column))
    if measure.kind == "average":
        return func.round(func.avg(cast(column, Numeric)), 4)
    measured: dict[str, ColumnElement[Any]] = {"sum": total, "min": func.min(column), "max": func.max(column)}
    return measured[measure.kind]


def _condition(field: Field, one: Filter) -> ColumnElement[bool]:
    column, value = field.column, filter_values(field, one)
    if field.kind in NUMBERS:
        column = cast(column, Numeric)  # a number that the column's own type does not hold is a number all the same
    if field.kind == "quarter" and one.op not in ("known", "unknown"):
        column = cast(func.date_trunc("quarter", column), column.type)  # a quarter's rows carry its first or its last month
    conditions: dict[str, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: column == value,
        "ne": lambda: or_(column != value, column.is_(None)),
        "in": lambda: column.in_(value) if value else false(),
        "lt": lambda: column < value,
        "le": lambda: column <= value,
        "gt": lambda: column > value,
        "ge": lambda: column >= value,
        "between": lambda: column.between(*value),
        "known": lambda: column.is_not(None),
        "unknown": lambda: column.is_(None),
    }
    return conditions[one.op]()


def _order(definition: Definition, outputs: list[Output], columns: list[Any]) -> list[Any]:
    """Return the order asked for; without one, time runs forward, and anything else begins with its greatest."""
    named = {output.name: column for output, column in zip(outputs, columns, strict=True)}
    groups = [named[name].element.asc().nulls_last() for name in definition.group]
    sort = definition.sort
    if sort is None:
        if any(output.kind in ("month", "quarter", "day") for output in outputs[: len(groups)]):
            return groups
        return [named[definition.measures[0].key].element.desc().nulls_last(), *groups]
    wanted = named[sort.by].element
    return [(wanted.desc() if sort.descending else wanted.asc()).nulls_last(), *groups]
