"""What the cells of a row mean: instants, amounts, numbers, codes; each refused with a reason a person can act on."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from shared.clock import SHANGHAI
from shared.events.fields import END_OF_INSTANTS, FIRST_INSTANT, INT4_MAX
from shared.history.csv_files import UnreadableRow
from shared.money import MAX_AMOUNT_FEN, fen_from_text

MoneyUnit = Literal["yuan", "fen"]
LONGEST_PLACE = 80

_ACCOUNT_NO = re.compile(r"[A-Za-z0-9-]{1,32}", re.ASCII)
_CODE = re.compile(r"[\x20-\x7e]{1,40}", re.ASCII)
_UNIT_CODE = re.compile(r"[^\x00-\x1f\x7f]{1,40}")
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = FIRST_INSTANT.year, END_OF_INSTANTS.year - 1
_YEARS = f"outside {_FIRST_YEAR}-{_LAST_YEAR}"


def instant(column: str, text: str, naive: tzinfo | None = None) -> datetime:
    """Read an instant and return it with the offset +08:00.

    ``naive`` is the time zone of times without an offset; without it they cannot be read. Instants outside 2000-2100
    are refused, as on the bus (architecture, the inbound contract).
    """
    if not text:
        raise UnreadableRow(f"{column} is empty")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableRow(f"{column} {text!r} is not an ISO 8601 time") from None
    if len(text) <= len("2018-03-05"):
        raise UnreadableRow(f"{column} {text!r} has no time of day")
    if moment.tzinfo is None:
        if naive is None:
            raise UnreadableRow(f"{column} {text!r} has no offset from UTC")
        moment = moment.replace(tzinfo=naive)
    if not _FIRST_YEAR < moment.year < _LAST_YEAR and not FIRST_INSTANT <= moment < END_OF_INSTANTS:
        raise UnreadableRow(f"{column} {text!r} is {_YEARS}")
    return moment.astimezone(SHANGHAI)


def instant_or_none(column: str, text: str, naive: tzinfo | None = None) -> datetime | None:
    """Read an instant that may be left empty."""
    return instant(column, text, naive) if text else None


def day(column: str, text: str) -> date:
    """Read a calendar day of the years 2000-2100."""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        value = date.fromisoformat(text)
    except ValueError:
        raise UnreadableRow(f"{column} {text!r} is not a day such as 2018-03-05") from None
    if not FIRST_INSTANT.date() <= value < END_OF_INSTANTS.date():
        raise UnreadableRow(f"{column} {text!r} is {_YEARS}")
    return value


def fen(column: str, text: str, unit: MoneyUnit = "yuan") -> int:
    """Read an amount, decimal yuan or whole fen, without ever passing through a float."""
    try:
        amount = fen_from_text(text) if unit == "yuan" else _whole(text)
    except ValueError as error:
        raise UnreadableRow(f"{column} {text!r}: {error}") from None
    if amount > MAX_AMOUNT_FEN:
        raise UnreadableRow(f"{column} {text!r} is too large")
    return amount


def number(column: str, text: str) -> int:
    """Read a whole number from 1 on."""
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= INT4_MAX:
        raise UnreadableRow(f"{column} {text!r} is not a whole number from 1 on")
    return int(text)


def account_no(text: str) -> str:
    """Read the number of a settlement account: 1-32 letters, digits and hyphens."""
    if not _ACCOUNT_NO.fullmatch(text):
        raise UnreadableRow(f"account_no {text!r} is not 1-32 letters, digits or hyphens")
    return text


def code(column: str, text: str) -> str:
    """Read a number or code of 1-40 printable ASCII characters (waybill, charge, status, exception)."""
    if not _CODE.fullmatch(text):
        raise UnreadableRow(f"{column} {text!r} is not 1-40 printable ASCII characters")
    return text


def unit_code(column: str, text: str) -> str:
    """Read the code of an organisation unit: 1-40 characters, none of them a control character."""
    if not _UNIT_CODE.fullmatch(text):
        raise UnreadableRow(f"{column} {text!r} is not 1-40 characters without control characters")
    return text


def place(column: str, text: str) -> str:
    """Read the name of a city or region: at most 80 characters; empty where it is not known."""
    if len(text) > LONGEST_PLACE:
        raise UnreadableRow(f"{column} is longer than {LONGEST_PLACE} characters")
    return text


def day_later(column: str, moment: datetime) -> datetime:
    """Return the instant 24 hours after the one in a column."""
    later = moment + timedelta(hours=24)
    if later >= END_OF_INSTANTS:
        raise UnreadableRow(f"{column} and 24 hours is {_YEARS}")
    return later


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError("not a whole number of fen")
    return int(text)
