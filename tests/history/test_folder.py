"""A history folder gives exactly the events its rows tell, and refuses what has no meaning with one sentence."""

import csv
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.envelope import Event
from shared.events.freight import FreightCharged
from shared.events.shipments import ShipmentStatusChanged
from shared.history.csv_files import CsvFile, HistoryError, UnreadableRow
from shared.history.folder import History, folder_digest
from shared.history.parcels import SHIPMENT_COLUMNS, ParcelReading, state_branch
from tests.history.conftest import GOOD_ROW, HEADERS, WriteFolder, row

Read = Callable[[Path], History]
ORG = [
    "HQ,hq,,Head",
    "D1,district,HQ,One",
    "D2,district,HQ,Two",
    "ZJ,branch,D1,Zhejiang",
    "FJ,branch,D2,",
    "ZJ-1,outlet,ZJ,First",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


def decode_again(event: Event) -> Event:
    return type(event).model_validate_json(event.to_bytes())


def told(history: History) -> list[tuple[str, str]]:
    """The publications as (instant, what happened)."""
    return [
        (instant.isoformat()[:16], event.status if isinstance(event, ShipmentStatusChanged) else "CHARGE")
        for instant, event in history.publications()
    ]


def rejected(rejected_dir: Path, name: str = "shipments.csv") -> list[list[str]]:
    with (rejected_dir / f"{name}.rejected.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_a_delivered_parcel_gives_three_scans_and_a_charge(write_folder: WriteFolder, read: Read) -> None:
    history = read(write_folder(shipments=[GOOD_ROW]))
    assert told(history) == [
        ("2018-03-01T10:00", "CREATED"),
        ("2018-03-01T18:00", "PICKED_UP"),
        ("2018-03-01T18:00", "CHARGE"),
        ("2018-03-03T12:00", "DELIVERED"),
    ]
    scan, _, charge, _ = [event for _, event in history.publications()]
    assert isinstance(scan, ShipmentStatusChanged)
    assert isinstance(charge, FreightCharged)
    assert (scan.origin.branch, scan.origin.city, scan.origin.region) == ("BR-ZJ", "hangzhou", "ZJ")
    assert (scan.destination.city, scan.destination.region) == ("xiamen", "FJ")
    assert (scan.pieces, scan.goods_value_fen, scan.account_no) == (2, 10000, "A1")
    assert {event.promised_at for _, event in history.publications() if isinstance(event, ShipmentStatusChanged)} == {
        at("2018-03-04T22:00")
    }
    assert (charge.charge_no, charge.version, charge.waybill_no, charge.account_no) == ("CH-W1", 1, "W1", "A1")
    assert (charge.amount_fen, charge.charged_at) == (1234, at("2018-03-01T18:00"))
    assert [(unit.unit_code, unit.kind, unit.parent_code) for unit in history.units] == [
        ("HQ", "hq", None),
        ("BR", "district", "HQ"),
        ("BR-ZJ", "branch", "BR"),
    ]
    assert history.start == date(2018, 3, 1)
    assert history.end == at("2018-04-01T01:00")


def test_what_a_file_status_says(write_folder: WriteFolder, read: Read) -> None:
    nothing = {"handed_over_at": "", "delivered_at": ""}
    history = read(
        write_folder(
            shipments=[
                row(waybill_no="C1", status="canceled", **nothing),
                row(waybill_no="C2", status="canceled", delivered_at="", handed_over_at="2018-03-05T09:00:00+08:00"),
                row(waybill_no="C3", status="canceled"),
                row(waybill_no="P1", status="processing", **nothing),
                row(waybill_no="F1", status="shipped", delivered_at="", freight="0"),
            ]
        )
    )
    facts: dict[str, list[str]] = {}
    for _, event in history.publications():
        what = event.status if isinstance(event, ShipmentStatusChanged) else f"CHARGE {event.amount_fen}"  # type: ignore[attr-defined]
        facts.setdefault(event.waybill_no, []).append(what)  # type: ignore[attr-defined]
    assert facts == {
        "C1": ["CREATED", "CANCELLED"],
        "C2": ["CREATED", "CANCELLED", "PICKED_UP", "CHARGE 1234"],
        "C3": ["CREATED", "PICKED_UP", "CHARGE 1234", "DELIVERED"],
        "P1": ["CREATED"],
        "F1": ["CREATED", "PICKED_UP", "CHARGE 0"],
    }
    cancelled = [i for i, e in history.publications() if isinstance(e, ShipmentStatusChanged) and e.status == "CANCELLED"]
    assert cancelled == [at("2018-03-02T10:00")] * 2


def test_the_whole_folder_recounted(parcels_folder: Path, read: Read) -> None:
    """Counts and totals of all parcels, recounted from the CSV alone."""
    history = read(parcels_folder)
    with (parcels_folder / "shipments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = Counter(CREATED=len(rows), PICKED_UP=sum(bool(r["handed_over_at"]) for r in rows))
    expected["DELIVERED"] = sum(bool(r["delivered_at"]) for r in rows)
    expected["CANCELLED"] = sum(r["status"] == "canceled" and not r["delivered_at"] for r in rows)
    fen = sum(int(r["freight"].replace(".", "")) for r in rows if r["handed_over_at"])
    seen: Counter[str] = Counter()
    charged, ids, last = 0, set(), history.timeline.first
    for instant, event in history.publications():
        assert last <= instant
        last = instant
        ids.add(event.event_id)
        if isinstance(event, ShipmentStatusChanged):
            assert event.occurred_at == instant
            seen[event.status] += 1
        elif isinstance(event, FreightCharged) and event.charge_no.startswith("CH-") and event.version == 1:
            charged += event.amount_fen
    assert {status: seen[status] for status in expected} == dict(expected)
    assert charged == fen
    assert len(ids) == history.counts.events == len(history.timeline)
    assert history.counts.parcels == len(rows)
    assert not history.counts.rejected
    assert {account.account_no for account in history.accounts} >= {r["account_no"] for r in rows}
    assert history.end > last
    assert (history.end.day, history.end.hour) == (1, 1)
    first = history.timeline.first
    assert history.start == first.date()


def test_windows_join_without_gap_or_overlap(parcels_folder: Path, read: Read) -> None:
    history = read(parcels_folder)
    whole = [event.event_id for _, event in history.publications()]
    start = datetime.combine(history.start, datetime.min.time(), history.end.tzinfo)
    pieces = []
    while start < history.end:
        pieces += [event.event_id for _, event in history.window(start, start + timedelta(days=9))]
        assert history.timeline.count(start, start) == 0
        start += timedelta(days=9)
    assert pieces == whole


def test_a_window_takes_its_start_and_leaves_its_end(write_folder: WriteFolder, read: Read) -> None:
    history = read(write_folder(shipments=[GOOD_ROW]))
    assert len(list(history.window(at("2018-03-01T10:00"), at("2018-03-01T18:00")))) == 1
    assert len(list(history.window(at("2018-03-01T18:00"), at("2018-03-03T12:00")))) == 2


def test_other_offsets_give_the_same_ids(write_folder: WriteFolder, read: Read) -> None:
    here = [event.event_id for _, event in read(write_folder(shipments=[GOOD_ROW])).publications()]
    utc = row(
        ordered_at="2018-03-01T02:00:00Z",
        handed_over_at="2018-03-01T07:00:00-03:00",
        delivered_at="2018-03-03T04:00:00+00:00",
        promised_at="2018-03-04T14:00:00Z",
    )
    assert [event.event_id for _, event in read(write_folder(shipments=[utc])).publications()] == here


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"freight": ""}, "freight '': the amount is empty"),
        ({"freight": "-1.00"}, "negative"),
        ({"freight": "NaN"}, "not finite"),
        ({"freight": "Infinity"}, "not finite"),
        ({"freight": "1.005"}, "finer than a fen"),
        ({"freight": "1e999"}, "large"),
        ({"freight": "twelve"}, "freight"),
        ({"freight": "", "handed_over_at": ""}, "empty"),
        ({"goods_value": ""}, "goods_value"),
        ({"ordered_at": ""}, "ordered_at is empty"),
        ({"ordered_at": "2018-03-01T10:00:00"}, "has no offset"),
        ({"ordered_at": "2018-03-01"}, "no time of day"),
        ({"ordered_at": "0001-01-01T00:00:00+14:00"}, "outside 2000-2100"),
        ({"delivered_at": "9999-12-31T23:59:59-12:00"}, "outside 2000-2100"),
        ({"promised_at": "soon"}, "promised_at"),
        ({"ordered_at": "2100-12-31T23:00:00+08:00", "status": "canceled", "delivered_at": ""}, "24 hours"),
        ({"pieces": "0"}, "pieces"),
        ({"pieces": "1.5"}, "pieces"),
        ({"pieces": "\u0663"}, "pieces"),
        ({"waybill_no": ""}, "waybill_no"),
        ({"waybill_no": "W" * 38}, "charge_no"),
        ({"waybill_no": "W\u00e9"}, "waybill_no"),
        ({"account_no": "A_1"}, "account_no"),
        ({"account_no": ""}, "account_no"),
        ({"origin_state": ""}, "origin_state is empty"),
        ({"origin_city": "x" * 81}, "origin_city"),
        ({"destination_city": "a\0b"}, "NUL"),
        ({"destination_city": '"never closed'}, "quotation marks"),
        ({"destination_city": "one,too,many"}, "has 16 columns, not 14"),
        ({"destination_city": "x" * 70_000}, "longer than"),
    ],
)
def test_a_bad_row_is_set_aside_and_its_neighbours_go_in(
    write_folder: WriteFolder, read: Read, rejected_dir: Path, cells: dict[str, str], reason: str
) -> None:
    folder = write_folder(shipments=[row(waybill_no="N1"), row(**cells), row(waybill_no="N2")])
    history = read(folder)
    assert history.counts.parcels == 2
    assert history.counts.rejected == {"shipments.csv": 1}
    header, bad = rejected(rejected_dir)
    assert header == ["line", "reason", *HEADERS["shipments.csv"].split(",")]
    assert bad[0] == "3"
    assert reason in bad[1]
    assert sorted(path.name for path in folder.iterdir()) == ["shipments.csv"]
    assert sorted(path.name for path in rejected_dir.iterdir()) == ["shipments.csv.rejected.csv"]


def test_csv_traps(write_folder: WriteFolder, read: Read, rejected_dir: Path) -> None:
    good = [row(waybill_no="T1", origin_city='"two\nlines, and ""marks"""'), row(waybill_no="T2", origin_city="  hangzhou ")]
    short, spoilt = "T3,A1,too,short", row(waybill_no="T4").encode().replace(b"hangzhou", b"h\xe4ngzhou")
    lines = [HEADERS["shipments.csv"], *good, "", short]
    content = b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n" + spoilt + b"\r\n" + row(waybill_no="T5").encode()
    history = read(write_folder(shipments=content))
    scans = {e.waybill_no: e for _, e in history.publications() if isinstance(e, ShipmentStatusChanged)}
    assert set(scans) == {"T1", "T2", "T5"}
    assert scans["T1"].origin.city == 'two\nlines, and "marks"'
    assert scans["T2"].origin.city == "hangzhou"
    assert [(line, reason) for line, reason, *_ in rejected(rejected_dir)[1:]] == [
        ("6", "the row has 4 columns, not 14"),
        ("7", "the row is not UTF-8 text"),
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=45), min_size=14, max_size=14))
def test_whatever_the_cells_hold_a_row_gives_events_or_a_reason(cells: list[str]) -> None:
    good = GOOD_ROW.split(",")
    reading = ParcelReading(state_branch)
    for place, cell in enumerate(cells):
        try:
            parcel = reading.parcel((*good[:place], cell, *good[place + 1 :]))
        except UnreadableRow:
            continue
        assert all(decode_again(event) == event for _, event in parcel.publications())


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_the_next_row_is_read(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "shipments.csv"
    path.write_bytes(f"{HEADERS['shipments.csv']}\n".encode() + junk + b"\n" + GOOD_ROW.encode() + b"\n")
    with CsvFile(path, {column: column for column in SHIPMENT_COLUMNS}) as file:
        records = list(file.records())
        assert records[-1].fields == tuple(GOOD_ROW.split(","))
        assert all(file.at(record.offset).fields == record.fields for record in records)


def test_a_repeated_row_is_one_and_a_contradicting_one_is_set_aside(
    write_folder: WriteFolder, read: Read, rejected_dir: Path
) -> None:
    history = read(write_folder(shipments=[GOOD_ROW, GOOD_ROW, row(freight="99")]))
    assert history.counts.events == 4
    assert "other content" in rejected(rejected_dir)[1][1]


def test_the_rejected_file_of_an_earlier_reading_goes_away(write_folder: WriteFolder, read: Read, rejected_dir: Path) -> None:
    read(write_folder(shipments=[GOOD_ROW, row(waybill_no="B", freight="x")]))
    assert (rejected_dir / "shipments.csv.rejected.csv").exists()
    read(write_folder(shipments=[GOOD_ROW]))
    assert not list(rejected_dir.iterdir())


def test_corrections_cancellations_and_late_charges(write_folder: WriteFolder, read: Read, rejected_dir: Path) -> None:
    charges = [
        "CH-W1,2,W1,A1,10.00,2018-03-01T18:00:00+08:00,2018-02-20T00:00:00+08:00",  # before its original
        "CH-W1,2,W1,A1,10.00,2018-03-01T18:00:00+08:00,2018-02-20T00:00:00+08:00",  # repeated
        "CH-W1,3,W1,A2,0,2018-04-01T18:00:00+08:00,2018-04-30T23:59:59+08:00",
        "CH-W1,3,W1,A2,5,2018-04-01T18:00:00+08:00,2018-04-20T00:00:00+08:00",  # published first: this one stays
        "CH-W1,1,W1,A1,12.34,2018-03-01T18:00:00+08:00,2018-04-01T00:00:00+08:00",  # the parcel's own, again
        "CH-W1,1,W1,A1,12.35,2018-03-01T18:00:00+08:00,2018-01-01T00:00:00+08:00",  # contradicts the parcel's own
        "LATE,1,W9,A9,3.00,2018-03-31T23:59:59+08:00,2019-04-30T00:00:00+08:00",
        "LATE,0,W9,A9,3.00,2018-03-31T23:59:59+08:00,2019-04-30T00:00:00+08:00",
        "LATE,1,W9,A9,3.00,2018-03-31T23:59:59+08:00,",
    ]
    history = read(write_folder(shipments=[GOOD_ROW], charges=charges))
    published = [(i, e.version, e.amount_fen) for i, e in history.publications() if isinstance(e, FreightCharged)]
    assert published == [
        (at("2018-02-20T00:00"), 2, 1000),
        (at("2018-03-01T18:00"), 1, 1234),
        (at("2018-04-20T00:00"), 3, 500),
        (at("2019-04-30T00:00"), 1, 300),
    ]
    assert sorted(int(line) for line, *_ in rejected(rejected_dir, "charges.csv")[1:]) == [4, 7, 9, 10]
    assert history.start == date(2018, 2, 20)
    assert history.end == at("2019-05-01T01:00")
    assert history.counts.extra_charges == 3
    opened = {account.account_no: account for account in history.accounts}
    assert set(opened) == {"A1"}
    assert (opened["A1"].opened_on, opened["A1"].must_open_by) == (date(2018, 3, 1), date(2018, 2, 20))
    assert history.strangers == {"A2", "A9"}


def test_extra_scans(write_folder: WriteFolder, read: Read, rejected_dir: Path) -> None:
    scans = [
        "W1,DAMAGED,2018-03-02T10:00:00+08:00,WET",
        "W1,DAMAGED,2018-03-02T02:00:00Z,WET",
        "W1,DAMAGED,2018-03-02T10:00:00+08:00,TORN",
        "W1,HELD UP,2018-02-02T10:00:00+08:00,",
        "W2,LOST,2018-03-02T10:00:00+08:00,",
        "W1,,2018-03-02T10:00:00+08:00,",
    ]
    history = read(write_folder(shipments=[GOOD_ROW], scans=scans))
    found = [e for _, e in history.publications() if isinstance(e, ShipmentStatusChanged)]
    assert [e.status for e in found] == ["HELD UP", "CREATED", "PICKED_UP", "DAMAGED", "DELIVERED"]
    assert [e.exception.code if e.exception else None for e in found] == [None, None, None, "WET", None]
    assert {e.promised_at for e in found} == {at("2018-03-04T22:00")}
    assert [line for line, *_ in rejected(rejected_dir, "scans.csv")[1:]] == ["4", "6", "7"]
    assert history.accounts[0].must_open_by == date(2018, 2, 2)


def test_accounts_listed_and_not(write_folder: WriteFolder, read: Read, rejected_dir: Path) -> None:
    history = read(
        write_folder(
            org=ORG,
            accounts=[
                "A1,One,ZJ,ZJ-1,2018-05-01",
                "A5,,FJ,,2010-01-01",
                "A6,,,,2010-01-02",
                "A7,,FJ,,soon",
                "A5,,ZJ,,2010-01-01",
            ],
            shipments=[
                GOOD_ROW,
                row(waybill_no="W2", account_no="A2", ordered_at="2018-03-09T23:59:59+08:00"),
                row(waybill_no="W3", account_no="A2", origin_state="FJ", ordered_at="2018-03-08T16:30:00Z"),
            ],
        )
    )
    assert [
        (a.account_no, a.name, a.branch_code, a.outlet_code, a.opened_on, a.must_open_by)
        for a in sorted(history.accounts, key=lambda a: a.account_no)
    ] == [
        ("A1", "One", "ZJ", "ZJ-1", date(2018, 5, 1), date(2018, 3, 1)),
        ("A2", None, "FJ", None, date(2018, 3, 9), date(2018, 3, 1)),
        ("A5", None, "FJ", None, date(2010, 1, 1), date(2010, 1, 1)),
        ("A6", None, None, None, date(2010, 1, 2), date(2010, 1, 2)),
    ]
    assert history.strangers == set(), "each is opened before a parcel or charge names it"
    assert [line for line, *_ in rejected(rejected_dir, "accounts.csv")[1:]] == ["5", "6"]
    codes = [unit.unit_code for unit in history.units]
    assert all(unit.parent_code is None or codes.index(unit.parent_code) < codes.index(unit.unit_code) for unit in history.units)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, ["shipments.csv", "missing"]),
        ({"shipments": b""}, ["shipments.csv line 1", "empty", "waybill_no,"]),
        ({"shipments": b"waybill_no;account_no\n"}, ["shipments.csv line 1", "lacks"]),
        ({"shipments": HEADERS["shipments.csv"].replace("freight", "price").encode()}, ["line 1", "lacks freight"]),
        ({"shipments": HEADERS["shipments.csv"].encode() + b"\n"}, ["shipments.csv line 2"]),
        ({"shipments": (HEADERS["shipments.csv"] + "\n").encode("utf-16")}, ["shipments.csv line 1", "UTF-8"]),
        (
            {
                "shipments": "\n".join(
                    [HEADERS["shipments.csv"], *[row(waybill_no=f"W{n}", origin_city="杭州") for n in range(5)], ""]
                ).encode("gbk")
            },
            ["shipments.csv line 1", "UTF-8"],
        ),
        ({"shipments": [GOOD_ROW], "org": [*ORG[:3]]}, ["shipments.csv line 2", "origin_state", "unknown unit 'ZJ'"]),
        ({"shipments": [row(origin_state="D1")], "org": ORG}, ["shipments.csv line 2", "'D1'", "district"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "X,branch,D9,"]}, ["org.csv line 8", "unknown unit", "'D9'"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "P,branch,Q,", "Q,branch,P,"]}, ["org.csv line 8", "cycle", "P > Q > P"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "P,branch,P,"]}, ["org.csv line 8", "cycle"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "H2,hq,,"]}, ["org.csv line 8", "2 units without a parent"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "D3,district,ZJ,"]}, ["org.csv line 8", "higher kind"]),
        ({"shipments": [GOOD_ROW], "org": [*ORG, "ZZ,office,HQ,", "Y,outlet,ZZ,"]}, ["org.csv line 9", "unknown unit"]),
        ({"shipments": [GOOD_ROW], "accounts": ["A1,,BR-XX,,2018-01-01"]}, ["accounts.csv line 2", "unknown unit 'BR-XX'"]),
        ({"shipments": [GOOD_ROW], "org": ORG, "accounts": ["A1,,FJ,ZJ-1,2018-01-01"]}, ["accounts.csv line 2", "ZJ-1"]),
        ({"shipments": [GOOD_ROW], "charges": b"charge_no,version\n"}, ["charges.csv line 1", "lacks waybill_no"]),
    ],
)
def test_a_folder_without_meaning_is_refused_with_one_sentence_and_changes_nothing(
    write_folder: WriteFolder, read: Read, rejected_dir: Path, files: dict[str, list[str] | bytes], says: list[str]
) -> None:
    if isinstance(files.get("shipments"), list) and len(files) > 1:
        files = files | {"shipments": [*files["shipments"], row(waybill_no="B", freight="x")]}  # type: ignore[dict-item, list-item]
    folder = write_folder(**files)
    with pytest.raises(HistoryError) as refusal:
        read(folder)
    sentence = str(refusal.value)
    assert all(word in sentence for word in says), sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not rejected_dir.exists() or not list(rejected_dir.iterdir())


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="is not a folder"):
        folder_digest(tmp_path / "nowhere")


def test_the_digest_is_that_of_the_files_content(write_folder: WriteFolder, read: Read, tmp_path: Path) -> None:
    folder = write_folder(shipments=[GOOD_ROW])
    first = read(folder)
    assert first.digest == folder_digest(folder)
    (folder / "README.txt").write_text("a note")
    moved = folder.rename(tmp_path / "elsewhere")
    assert folder_digest(moved) == first.digest
    (moved / "scans.csv").write_text(HEADERS["scans.csv"] + "\n")
    assert folder_digest(moved) != first.digest


def test_a_file_changed_during_the_replay_is_noticed(write_folder: WriteFolder, read: Read) -> None:
    history = read(write_folder(shipments=[GOOD_ROW]))
    write_folder(shipments=[GOOD_ROW[:20]])
    with pytest.raises(HistoryError, match="changed while"):
        list(history.publications())
