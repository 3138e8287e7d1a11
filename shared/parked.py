"""Parked events (死信): what a handler refuses is kept with its bytes and the reason, and the partition goes on.

The row is written in the transaction that moves the fence, so parking can neither lose nor repeat.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.envelope import KafkaRecord, Record


async def park(session: AsyncSession, refused: Sequence[tuple[KafkaRecord, str]]) -> None:
    """Keep records with the reason why each was refused; a position that is parked already stays as it is."""
    if not refused:
        return
    await session.execute(
        text(
            'INSERT INTO parked_events (topic, partition, "offset", key, headers, value, timestamp_ms, reason) '
            "VALUES (:topic, :partition, :offset, :key, :headers, :value, :timestamp, :reason) ON CONFLICT DO NOTHING"
        ),
        [
            {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "key": record.key,
                "headers": _pack(record.headers),
                "value": record.value,
                "timestamp": record.timestamp,
                "reason": reason.replace("\x00", "\\0").encode(errors="backslashreplace").decode()[:2000],
            }
            for record, reason in refused
        ],
    )


async def list_parked(session: AsyncSession, service: str) -> list[dict[str, Any]]:
    """Return what is parked now, oldest first: parked_id, service, topic, partition, offset, reason, parked_at."""
    rows = await session.execute(
        text(
            'SELECT parked_id, topic, partition, "offset", reason, parked_at FROM parked_events '
            "WHERE state = 'parked' ORDER BY parked_id"
        )
    )
    return [{"service": service, **row._mapping} for row in rows]


async def count_parked(session: AsyncSession) -> int:
    """Return how many events are parked now."""
    return int((await session.execute(text("SELECT count(*) FROM parked_events WHERE state = 'parked'"))).scalar_one())


async def read(session: AsyncSession, parked_id: int) -> dict[str, Any] | None:
    """Return one parked event with its state and bytes, or None; locks the row."""
    found = await session.execute(text("SELECT * FROM parked_events WHERE parked_id = :id FOR UPDATE"), {"id": parked_id})
    row = found.mappings().first()
    return dict(row) if row else None


async def resolve(session: AsyncSession, parked_id: int, state: str, note: str | None) -> None:
    """Mark a parked event as `retried` or `discarded` (with the reason given)."""
    await session.execute(
        text("UPDATE parked_events SET state = :state, note = :note, resolved_at = clock_timestamp() WHERE parked_id = :id"),
        {"id": parked_id, "state": state, "note": note},
    )


def record_of(row: dict[str, Any]) -> Record:
    """Return the record that a row of `parked_events` keeps."""
    return Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        value=row["value"],
        headers=[(name, base64.b64decode(value)) for name, value in json.loads(row["headers"])],
        timestamp=row["timestamp_ms"],
    )


def _pack(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    return json.dumps([(name, base64.b64encode(value or b"").decode()) for name, value in headers]).encode()
