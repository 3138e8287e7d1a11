"""The datasets (数据集): the closed list of what a report may be made of. A user names fields; columns and joins stand here.

Rows are scoped twice: by row-level security, which shows a caller what belongs to accounts of its unit, and by the unit asked
for, through `unit`. Every dataset has a `period`, so that no report reads all there ever was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, func

from services.tiering.designer.fields import Field, field, month_of
from services.tiering.models import (
    ContactFact,
    Decision,
    MonthTotal,
    MovementRow,
    QuarterMovementRow,
    Score,
    TaskFact,
    TicketFact,
)
from shared.kernel.tables import accounts

PeriodKind = Literal["month", "quarter", "instant"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of one kind, and what may be asked of them."""

    name: str
    label: str
    rows: FromClause
    unit: ColumnElement[Any]
    """The unit a row lies in."""
    period: ColumnElement[Any]
    period_kind: PeriodKind
    fields: Mapping[str, Field]
    condition: ColumnElement[bool] | None = None
    quarter: ColumnElement[Any] | None = None
    """By which rows of months are found, where those of a quarter are one row."""


def _dataset(
    name: str,
    label: str,
    rows: Any,
    unit: Any,
    period: Any,
    period_kind: PeriodKind,
    fields: tuple[Field, ...],
    condition: ColumnElement[bool] | None = None,
    quarter: Any = None,
) -> Dataset:
    return Dataset(name, label, rows, unit, period, period_kind, {one.name: one for one in fields}, condition, quarter)


def _of_account(table: Any) -> FromClause:
    """Return a table's rows with their account as it stands today, where it is known."""
    joined: FromClause = table.__table__.outerjoin(accounts, accounts.c.account_no == table.account_no)
    return joined


_ACCOUNT_TODAY = (
    field("branch_code", "分部", "text", accounts.c.branch_code),
    field("district_code", "区", "text", accounts.c.district_code),
    field("outlet_code", "点部", "text", accounts.c.outlet_code),
)


def _placed(table: Any) -> tuple[Field, ...]:
    return (
        field("branch_code", "分部", "text", table.branch_code),
        field("district_code", "区", "text", table.district_code),
    )


FREIGHT = _dataset(
    "freight",
    "运费 (按月)",
    _of_account(MonthTotal),
    accounts.c.unit_code,
    MonthTotal.month,
    "month",
    (
        field("month", "月份", "month", MonthTotal.month),
        field("account_no", "月结账号", "text", MonthTotal.account_no),
        field("amount_fen", "运费", "fen", MonthTotal.amount_fen),
        field("charges", "票数", "count", MonthTotal.charges),
        field("opened_on", "开户日", "day", accounts.c.opened_on),
        *_ACCOUNT_TODAY,
    ),
    quarter=MonthTotal.quarter,
)
TIERS = _dataset(
    "tiers",
    "服务层级 (按季)",
    Decision.__table__,
    Decision.unit_code,
    Decision.month,
    "month",
    (
        field("quarter", "季度", "quarter", Decision.month),
        field("account_no", "月结账号", "text", Decision.account_no),
        field("service_tier", "服务层级", "text", Decision.service_tier),
        field("rank", "名次", "count", Decision.rank),
        field("quarter_fen", "季度运费", "fen", Decision.quarter_fen),
        field("previous_quarter_fen", "上季度运费", "fen", Decision.previous_quarter_fen),
        field("band", "分层带", "text", Decision.band),
        field("focus_general", "重点一般客户", "flag", Decision.focus_general),
        field("green_channel", "绿色通道", "flag", Decision.green_channel),
        field("special_claims", "特殊理赔", "flag", Decision.special_claims),
        field("points_plan", "积分方案", "text", Decision.points_plan),
        field("opened_on", "开户日", "day", Decision.opened_on),
        field("policy_version", "规则版本", "text", Decision.policy_version),
        *_placed(Decision),
    ),
    Decision.service_tier.is_not(None),
)
GRADES = _dataset(
    "grades",
    "贡献等级 (按月)",
    Decision.__table__,
    Decision.unit_code,
    Decision.month,
    "month",
    (
        field("month", "月份", "month", Decision.month),
        field("account_no", "月结账号", "text", Decision.account_no),
        field("grade", "贡献等级", "text", Decision.grade),
        field("amount_fen", "当月运费", "fen", Decision.amount_fen),
        field("sum_fen", "三个月运费", "fen", Decision.sum_fen),
        field("zero_months", "连续零发件月数", "count", Decision.zero_months),
        field("policy_version", "规则版本", "text", Decision.policy_version),
        *_placed(Decision),
    ),
)
MOVEMENTS = _dataset(
    "movements",
    "月异动",
    MovementRow.__table__,
    MovementRow.unit_code,
    MovementRow.month,
    "month",
    (
        field("month", "月份", "month", MovementRow.month),
        field("account_no", "月结账号", "text", MovementRow.account_no),
        field("kind", "异动", "text", MovementRow.kind),
        field("state", "状态", "text", MovementRow.state),
        field("withdrawn_reason", "撤销原因", "text", MovementRow.withdrawn_reason),
        field("zero_months", "连续零发件月数", "count", MovementRow.zero_months),
        field("previous_fen", "上月运费", "fen", MovementRow.previous_fen),
        field("current_fen", "当月运费", "fen", MovementRow.current_fen),
        Field(
            "change_fen",
            "变化",
            "fen",
            "movements.current_fen - movements.previous_fen",
            MovementRow.current_fen - MovementRow.previous_fen,
        ),
        field("service_tier", "服务层级", "text", MovementRow.service_tier),
        *_placed(MovementRow),
    ),
)
QUARTER_MOVEMENTS = _dataset(
    "quarter_movements",
    "季度异动",
    QuarterMovementRow.__table__,
    QuarterMovementRow.unit_code,
    QuarterMovementRow.quarter,
    "quarter",
    (
        field("quarter", "季度", "quarter", QuarterMovementRow.quarter),
        field("account_no", "月结账号", "text", QuarterMovementRow.account_no),
        field("kind", "异动", "text", QuarterMovementRow.kind),
        field("place", "名次", "count", QuarterMovementRow.place),
        field("previous_fen", "上季度运费", "fen", QuarterMovementRow.previous_fen),
        field("current_fen", "季度运费", "fen", QuarterMovementRow.current_fen),
        Field(
            "change_fen",
            "变化",
            "fen",
            "quarter_movements.current_fen - quarter_movements.previous_fen",
            QuarterMovementRow.current_fen - QuarterMovementRow.previous_fen,
        ),
        field("service_tier", "服务层级", "text", QuarterMovementRow.service_tier),
        field("responsible_role", "责任角色", "text", QuarterMovementRow.responsible_role),
        field("in_person", "须本人", "flag", QuarterMovementRow.in_person),
        *_placed(QuarterMovementRow),
    ),
)
TASKS = _dataset(
    "tasks",
    "维系任务",
    TaskFact.__table__,
    func.coalesce(TaskFact.outlet_code, TaskFact.branch_code, TaskFact.unit_code),
    TaskFact.opened_at,
    "instant",
    (
        month_of("opened_month", "开启月份", TaskFact.opened_at),
        month_of("due_month", "到期月份", TaskFact.due_at),
        field("account_no", "月结账号", "text", TaskFact.account_no),
        field("role", "责任角色", "text", TaskFact.role),
        field("unit_code", "责任单位", "text", TaskFact.unit_code),
        field("branch_code", "分部", "text", TaskFact.branch_code),
        field("kind", "起因", "text", TaskFact.kind),
        field("state", "状态", "text", TaskFact.state),
        field("service_tier", "服务层级", "text", TaskFact.service_tier),
        Field("overdue", "逾期", "flag", "task_facts.overdue_at", TaskFact.overdue_at.is_not(None)),
        Field("done", "已完成", "flag", "task_facts.done_at", TaskFact.done_at.is_not(None)),
    ),
)
CONTACTS = _dataset(
    "contacts",
    "接触记录",
    _of_account(ContactFact),
    func.coalesce(accounts.c.unit_code, ContactFact.unit_code),
    ContactFact.contacted_at,
    "instant",
    (
        month_of("month", "月份", ContactFact.contacted_at),
        field("account_no", "月结账号", "text", ContactFact.account_no),
        field("channel", "方式", "text", ContactFact.channel),
        field("actor_role", "角色", "text", ContactFact.actor_role),
        field("late", "补录过迟", "flag", ContactFact.late),
        field("blocks_filled", "填写栏数", "count", ContactFact.blocks_filled),
        *_ACCOUNT_TODAY,
    ),
)
TICKETS = _dataset(
    "tickets",
    "工单",
    _of_account(TicketFact),
    func.coalesce(accounts.c.unit_code, TicketFact.branch_code),
    TicketFact.opened_at,
    "instant",
    (
        month_of("month", "月份", TicketFact.opened_at),
        field("account_no", "月结账号", "text", TicketFact.account_no),
        field("ticket_class", "类别", "text", TicketFact.ticket_class),
        field("cause_hint", "问题类型", "text", TicketFact.cause_hint),
        field("cause_code", "责任原因", "text", TicketFact.cause_code),
        field("priority", "优先级", "text", TicketFact.priority),
        field("state", "状态", "text", TicketFact.state),
        Field("resolved", "已解决", "flag", "ticket_facts.resolved_at", TicketFact.resolved_at.is_not(None)),
        Field(
            "hours",
            "解决时长 (小时)",
            "count",
            "ticket_facts.resolved_at - ticket_facts.opened_at",
            func.extract("epoch", TicketFact.resolved_at - TicketFact.opened_at) / 3600,
        ),
        *_ACCOUNT_TODAY,
    ),
)
SCORES = _dataset(
    "scores",
    "客户评分 (按月)",
    _of_account(Score),
    accounts.c.unit_code,
    Score.month,
    "month",
    (
        field("month", "月份", "month", Score.month),
        field("account_no", "月结账号", "text", Score.account_no),
        field("risk", "流失风险", "count", Score.risk),
        field("clv_fen", "生命周期价值", "fen", Score.clv_fen),
        field("at_risk_fen", "风险价值", "fen", Score.at_risk_fen),
        field("forecast_fen", "下月预测", "fen", Score.forecast_fen),
        field("recency_score", "R", "count", Score.recency_score),
        field("frequency_score", "F", "count", Score.frequency_score),
        field("money_score", "M", "count", Score.money_score),
        *_ACCOUNT_TODAY,
    ),
)
_ALL = (FREIGHT, TIERS, GRADES, MOVEMENTS, QUARTER_MOVEMENTS, TASKS, CONTACTS, TICKETS, SCORES)
DATASETS: dict[str, Dataset] = {one.name: one for one in _ALL}


def described() -> list[dict[str, Any]]:
    """Return the list for callers: each field with its type and the column that it comes from."""
    return [
        {
            "name": one.name,
            "label": one.label,
            "period": one.period_kind,
            "fields": [{"name": f.name, "label": f.label, "kind": f.kind, "source": f.source} for f in one.fields.values()],
        }
        for one in DATASETS.values()
    ]
