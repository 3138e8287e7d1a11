"""The declarative base of tiering's own tables, and the types its columns share."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase

from shared.db import NAMING

CODE = Text(collation="C")
FEN = BigInteger


_TYPES = {
    str: Text,
    int: Integer,
    bool: Boolean,
    bytes: LargeBinary,
    datetime: DateTime(timezone=True),
    date: Date,
    UUID: Uuid,
}


class Base(DeclarativeBase):
    """The declarative base of tiering's own tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = _TYPES


class View(DeclarativeBase):
    """The declarative base of what is read like a table and written as others."""

    type_annotation_map = _TYPES
