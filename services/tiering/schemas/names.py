"""The closed lists of names that several rooms' answers use."""

from typing import Literal

Tier = Literal["vip", "key", "general"]
GradeName = Literal["diamond", "gold", "silver"]
Kind = Literal["fall_over_half", "zero_month"]
State = Literal["open", "withdrawn"]
QuarterKind = Literal["riser", "decliner", "rise", "fall", "resumed"]
Band = Literal["A", "B", "C"]
