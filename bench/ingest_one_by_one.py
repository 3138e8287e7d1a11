"""What a team writes in a day: one message, one SQLAlchemy upsert, one commit."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import BigInteger, DateTime, Text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.programs import ready, run_program


class Base(DeclarativeBase):
    """The naive program's own tables."""


class Charge(Base):
    """A charge, as L3 keeps it."""

    __tablename__ = "l3_charges"
    charge_no: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int]
    waybill_no: Mapped[str] = mapped_column(Text)
    account_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int] = mapped_column(BigInteger)
    charged_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    product: Mapped[str | None] = mapped_column(Text)
    weight_grams: Mapped[int | None] = mapped_column(BigInteger)


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """Take `messages` messages one by one."""
    engine = create_async_engine(
        job["url"].replace("postgresql://", "postgresql+asyncpg://") + "?ssl=disable",
        connect_args={"server_settings": {"role": "tiering_owner"}},
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    consumer = AIOKafkaConsumer(bootstrap_servers=job["bootstrap"], enable_auto_commit=False)
    await consumer.start()
    partition = TopicPartition(job["topic"], 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    async with sessions() as session:
        await session.connection()
    await ready()
    began = time.perf_counter()
    for _ in range(job["messages"]):
        record = await consumer.getone()
        async with sessions() as session:
            await session.execute(_upsert(json.loads(record.value)))
            await session.commit()
    seconds = time.perf_counter() - began
    await consumer.stop()
    await engine.dispose()
    return {"amount": job["messages"], "seconds": seconds}


def _upsert(data: dict[str, Any]) -> Any:
    statement = insert(Charge).values(data | {"charged_at": datetime.fromisoformat(data["charged_at"])})
    return statement.on_conflict_do_update(
        index_elements=[Charge.charge_no],
        set_={"version": statement.excluded.version, "amount_fen": statement.excluded.amount_fen},
    )


if __name__ == "__main__":
    run_program(main)
