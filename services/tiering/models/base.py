"""The declarative base of tiering's own tables, and the types its columns share."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Integer, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase

from shared.db import NAMING

CODE = Text(collation="C")
FEN = BigInteger


class Base(DeclarativeBase):
    """The declarative base of tiering's own tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        str: Text,
        int: Integer,
        bool: Boolean,
        bytes: LargeBinary,
        datetime: DateTime(timezone=True),
        date: Date,
        UUID: Uuid,
    }
