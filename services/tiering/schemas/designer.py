"""What callers of the report designer send and receive."""

from typing import Annotated, Literal

from pydantic import Field

from services.tiering.designer.definition import Definition
from services.tiering.schemas.documents import DocumentRead
from shared.schemas import AnswerModel, Id, Instant, StrictModel, UnitCode, free_text

Format = Literal["csv", "xlsx", "pdf", "html", "json"]
Shared = Literal["private", "unit", "subtree"]
Schedule = Literal["weekly", "monthly", "quarterly"]
ReportName = Annotated[str, free_text(100)]


class FieldRead(AnswerModel):
    """A field of a dataset."""

    name: str
    label: str
    kind: str = Field(description="text, fen, count, percent, day, instant, month, quarter or flag.")
    source: str = Field(description="The column it comes from.")


class DatasetRead(AnswerModel):
    """A dataset with its closed list of fields."""

    name: str
    label: str
    period: str = Field(description="What the period bounds: month, quarter or instant.")
    fields: list[FieldRead]


class DatasetList(AnswerModel):
    """All datasets."""

    items: list[DatasetRead]


class DefinitionCreate(StrictModel):
    """A report to be saved."""

    name: ReportName
    unit_code: UnitCode | None = Field(default=None, description="The unit it belongs to; default the caller's own.")
    shared: Shared = "private"
    schedule: Schedule | None = Field(
        default=None, description="Exported by itself: each week, or after each month or quarter closed."
    )
    format: Format = "xlsx"
    definition: Definition


class DefinitionChange(StrictModel):
    """A report to be replaced; `version` is the one that the caller has seen."""

    version: Annotated[int, Field(ge=1, lt=2**31)]
    name: ReportName
    shared: Shared
    schedule: Schedule | None
    format: Format
    definition: Definition


class DefinitionRead(AnswerModel):
    """A saved report."""

    definition_id: Id
    version: int
    name: str
    unit_code: str
    owner: str
    shared: Shared
    schedule: Schedule | None
    format: Format
    state: Literal["active", "archived"]
    created_at: Instant
    changed_at: Instant
    changed_by: str
    definition: Definition


class DefinitionList(AnswerModel):
    """One page of saved reports, by name."""

    items: list[DefinitionRead]
    next_cursor: str | None


class ExportCreate(StrictModel):
    """A report to be made a file."""

    definition_id: Id
    format: Format | None = Field(default=None, description="Default: the format saved with the report.")


class ExportRead(AnswerModel):
    """A report as a file, and how far it is."""

    export_id: Id
    definition_id: Id
    definition_version: int
    name: str
    unit_code: str = Field(description="The unit in whose scope it is made.")
    about_unit: str = Field(description="The unit whose subtree it is about.")
    requested_by: str
    format: Format
    state: Literal["waiting", "running", "done", "failed", "expired"]
    progress: int | None = Field(description="Percent; null where it cannot be known yet.")
    rows_done: int
    rows_expected: int | None
    requested_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    expires_at: Instant | None
    size: int | None
    sha256: str | None
    problem: str | None


class ExportList(AnswerModel):
    """One page of exports, newest first."""

    items: list[ExportRead]
    next_cursor: str | None


class Run(AnswerModel):
    """A report's answer, or the export that it became because it reads too much for an answer."""

    definition_id: Id
    definition_version: int
    state: Literal["done", "waiting"]
    document: DocumentRead | None
    export: ExportRead | None
