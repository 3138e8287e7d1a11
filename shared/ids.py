"""Public ids made from natural keys: a replay gives the same ids."""

from datetime import date
from hashlib import sha256
from uuid import UUID

_FREE = 0xFFFFFFFF_FFFF_0FFF_0FFF_FFFFFFFFFFFF
_FIXED = 0x00000000_0000_8000_8000_000000000000


def natural_id(*parts: str | int | date) -> UUID:
    """Return the UUIDv8 of a natural key, the parts joined by "/".

    Equal to the SQL function `natural_id(text)` for the joined key. Parts never contain "/" (codes, numbers, ISO dates).
    The version and variant digits are fixed, so 120 bits of the SHA-256 remain.
    """
    key = "/".join([part.isoformat() if isinstance(part, date) else str(part) for part in parts])
    return UUID(int=int.from_bytes(sha256(key.encode()).digest()[:16]) & _FREE | _FIXED)
