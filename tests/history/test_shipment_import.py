"""An import publishes what the rows tell, whatever interrupts it, and says which rows it could not read."""

import csv
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.events.freight import FreightCharged
from shared.events.shipments import ShipmentStatusChanged
from shared.history.csv_files import HistoryError
from shared.history.folder import read_history
from shared.history.mapping import ColumnMapping, read_mapping
from shared.history.parcels import Dated
from shared.history.shipment_import import ROWS_PER_BATCH, ImportProgress, ImportResult, import_shipments
from tests.history.conftest import GOOD_ROW, HEADERS, row

ROWS = 3 * ROWS_PER_BATCH + 7
HEADER = HEADERS["shipments.csv"]


class Bus:
    """Takes what is sent; after some batches it breaks down."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.events: list[Dated] = []
        self.batches = 0
        self._breaks_after = breaks_after

    async def send(self, batch: Sequence[Dated]) -> None:
        if self.batches == self._breaks_after:
            raise ConnectionError("the broker is gone")
        self.batches += 1
        self.events += batch

    @property
    def ids(self) -> list[str]:
        return [str(event.event_id) for _, event in self.events]


@pytest.fixture
def parcels(tmp_path: Path) -> Path:
    """Some batches of rows, every hundredth of them unreadable."""
    path = tmp_path / "parcels.csv"
    rows = [row(waybill_no=f"W{n}", freight="" if n % 100 == 0 else "12.34") for n in range(ROWS)]
    path.write_text("\n".join([HEADER, *rows]))
    return path


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "FILE.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


async def run(path: Path, bus: Bus, mapping: ColumnMapping | None = None, dry_run: bool = False) -> ImportResult:
    return await import_shipments(path, bus.send, mapping=mapping, dry_run=dry_run)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def size(path: Path) -> int:
    return path.stat().st_size


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rejected_rows(path: Path) -> list[list[str]]:
    with path.with_name(f"{path.name}.rejected.csv").open(newline="") as file:
        return list(csv.reader(file))


async def test_the_import_publishes_the_same_events_as_the_history_folder(parcels_folder: Path, tmp_path: Path) -> None:
    history = read_history(parcels_folder, tmp_path / "rejected")
    copy = tmp_path / "shipments.csv"
    copy.write_bytes((parcels_folder / "shipments.csv").read_bytes())
    bus = Bus()
    codes = {unit.unit_code for unit in history.units}
    result = await import_shipments(copy, bus.send, branch_codes=codes)
    known = {str(event.event_id): (instant, event) for instant, event in history.publications()}
    assert result.counts.parcels == history.counts.parcels
    assert result.counts.events == len(bus.events) == len(set(bus.ids))
    assert all(known[str(event.event_id)] == (instant, event) for instant, event in bus.events)
    assert not {"shipments.csv.rejected.csv", "shipments.csv.progress.json"} & names_in(tmp_path)


async def test_unreadable_rows_are_written_down_and_the_rest_goes_in(parcels: Path) -> None:
    bus = Bus()
    seen: list[ImportProgress] = []
    result = await import_shipments(parcels, bus.send, on_progress=seen.append)
    bad = [n for n in range(ROWS) if n % 100 == 0]
    assert (result.counts.rows, result.counts.parcels, result.counts.rejected) == (ROWS, ROWS - len(bad), len(bad))
    assert result.rejected_file == parcels.with_name("parcels.csv.rejected.csv")
    header, *rows = rejected_rows(parcels)
    assert header == ["line", "reason", *HEADER.split(",")]
    assert [(int(line), waybill) for line, _, waybill, *_ in rows] == [(n + 2, f"W{n}") for n in bad]
    assert result.first_rejections[0] == (2, "freight '': the amount is empty")
    assert len(result.first_rejections) == 16
    assert [p.bytes_done for p in seen] == sorted(p.bytes_done for p in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total == size(parcels)


@pytest.mark.parametrize("breaks_after", [0, 1, 3])
async def test_an_interrupted_import_goes_on_where_it_stopped(parcels: Path, breaks_after: int) -> None:
    whole = Bus()
    await run(parcels, whole)
    expected = rejected_rows(parcels)
    first, second = Bus(breaks_after), Bus()
    with pytest.raises(ConnectionError):
        await run(parcels, first)
    result = await run(parcels, second)
    assert first.ids + second.ids == whole.ids
    assert result.resumed_at == (2 + breaks_after * ROWS_PER_BATCH if breaks_after else None)
    assert result.counts.rows == ROWS
    assert result.counts.events == len(whole.events)
    assert rejected_rows(parcels) == expected
    assert names_in(parcels.parent) == {"parcels.csv", "parcels.csv.rejected.csv"}


async def test_a_changed_file_or_mapping_begins_afresh(parcels: Path) -> None:
    with pytest.raises(ConnectionError):
        await run(parcels, Bus(2))
    append(parcels, "\n" + row(waybill_no="ONE-MORE"))
    bus = Bus()
    result = await run(parcels, bus)
    assert result.resumed_at is None
    assert result.counts.rows == ROWS + 1


async def test_a_repeated_import_publishes_the_same_ids(parcels: Path) -> None:
    once, again = Bus(), Bus()
    await run(parcels, once)
    await run(parcels, again)
    assert once.ids == again.ids


async def test_a_dry_run_sends_and_writes_nothing(parcels: Path) -> None:
    bus = Bus()
    result = await run(parcels, bus, dry_run=True)
    assert not bus.events
    assert (result.counts.rows, result.rejected_file) == (ROWS, None)
    assert result.counts.rejected == 16
    assert names_in(parcels.parent) == {"parcels.csv"}


async def test_branches_by_known_codes_by_prefix_or_by_state(tmp_path: Path) -> None:
    async def branch(mapping: ColumnMapping | None, codes: set[str]) -> str | None:
        bus = Bus()
        await import_shipments(write(tmp_path, GOOD_ROW), bus.send, mapping=mapping, branch_codes=codes)
        scan = bus.events[0][1]
        assert isinstance(scan, ShipmentStatusChanged)
        return scan.origin.branch

    assert await branch(None, set()) == "BR-ZJ"
    assert await branch(None, {"ZJ"}) == "ZJ"
    assert await branch(ColumnMapping(branch_prefix=""), set()) == "ZJ"
    assert await branch(ColumnMapping(branch_prefix="X-"), {"ZJ"}) == "X-ZJ"


async def test_a_mapped_file(tmp_path: Path) -> None:
    mapping = tmp_path / "partner.toml"
    mapping.write_text(
        'time_zone = "America/Sao_Paulo"\nmoney = "fen"\n[columns]\nwaybill_no = "Tracking"\nfreight = "Centavos"\n'
        'goods_value = ""\npieces = ""\nstatus = ""\npromised_at = ""\ndelivered_at = ""\n'
    )
    path = tmp_path / "partner.csv"
    path.write_text(
        "Centavos,Tracking,account_no,origin_city,origin_state,destination_city,destination_state,ordered_at,handed_over_at,note\n"
        "1234,P1,A1,a,SP,b,RJ,2018-01-01 10:00:00,2018-07-01T10:00:00,x\n"
        "1234,P2,A1,a,SP,b,RJ,2018-01-01T10:00:00+08:00,,x\n"
        "12.34,P3,A1,a,SP,b,RJ,2018-01-01T10:00:00,,x\n"
    )
    bus = Bus()
    result = await run(path, bus, read_mapping(mapping))
    created, _, charge, second = [event for _, event in bus.events]
    assert isinstance(created, ShipmentStatusChanged)
    assert isinstance(charge, FreightCharged)
    assert created.occurred_at.isoformat() == "2018-01-01T20:00:00+08:00"
    assert charge.charged_at.isoformat() == "2018-07-01T21:00:00+08:00"
    assert (created.pieces, created.goods_value_fen, created.promised_at, charge.amount_fen) == (1, None, None, 1234)
    assert isinstance(second, ShipmentStatusChanged)
    assert second.occurred_at.isoformat() == "2018-01-01T10:00:00+08:00"
    assert result.first_rejections == ((4, "freight '12.34': not a whole number of fen"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("columns = 1", "[columns]"),
        ("[columns]\nwaybil = 'x'", "'waybil' is no column"),
        ("[columns]\nwaybill_no = ''", "waybill_no must have a column"),
        ("time_zone = 'Mars/Base'", "time_zone 'Mars/Base'"),
        ("time_zone = '../../etc/passwd'", "time_zone"),
        ("time_zone = 8", "time_zone 8"),
        ("time_zone = '+25:00'", "time_zone"),
        ("money = 'dollar'", "money 'dollar'"),
        ("branch_prefix = 1", "branch_prefix"),
        ("timezone = '+08:00'", "'timezone' means nothing"),
        ("= nothing", "is not TOML"),
    ],
)
def test_a_wrong_mapping_is_refused_with_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(HistoryError) as refusal:
        read_mapping(path)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_a_file_that_cannot_be_used_sends_nothing(tmp_path: Path) -> None:
    bus = Bus()
    with pytest.raises(HistoryError, match="is missing"):
        await run(tmp_path / "none.csv", bus)
    with pytest.raises(HistoryError, match="is missing"):
        read_mapping(tmp_path / "none.toml")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    with pytest.raises(HistoryError, match="line 1: the header lacks waybill_no"):
        await run(wrong, bus)
    assert not bus.events


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    sent = 0

    async def count(batch: Sequence[Dated]) -> None:
        nonlocal sent
        sent += len(batch)

    async def most_memory(batches: int) -> int:
        rows = [row(waybill_no=f"L{n}", freight="" if n % 3 else "1.00") for n in range(batches * ROWS_PER_BATCH)]
        path = write(tmp_path, *rows)
        tracemalloc.start()
        try:
            await import_shipments(path, count)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = await most_memory(2)
    assert await most_memory(10) < 1.2 * few
    assert sent == 4 * sum((batches * ROWS_PER_BATCH + 2) // 3 for batches in (2, 10))
