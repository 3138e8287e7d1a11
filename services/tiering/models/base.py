"""The declarative base of tiering's own tables, and the types its columns share."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Date, DateTime, Integer, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase

from shared.db import NAMING

CODE = Text(collation="C")
FEN = BigInteger


class Base(DeclarativeBase):
    """The declarative base of tiering's own tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {str: Text, int: Integer, datetime: DateTime(timezone=True), date: Date, UUID: Uuid}
