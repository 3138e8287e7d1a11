import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from shared.history.folder import History, read_history
from shared.history.simulate import simulate

HEADERS = {
    "shipments.csv": "waybill_no,account_no,origin_city,origin_state,destination_city,destination_state,pieces,"
    "goods_value,freight,ordered_at,handed_over_at,delivered_at,promised_at,status",
    "org.csv": "unit_code,kind,parent_code,name",
    "accounts.csv": "account_no,name,branch_code,outlet_code,opened_on",
    "charges.csv": "charge_no,version,waybill_no,account_no,amount,charged_at,published_at",
    "scans.csv": "waybill_no,status,occurred_at,exception_code",
}
GOOD_ROW = (
    "W1,A1,hangzhou,ZJ,xiamen,FJ,2,100.00,12.34,2018-03-01T10:00:00+08:00,2018-03-01T18:00:00+08:00,"
    "2018-03-03T12:00:00+08:00,2018-03-04T22:00:00+08:00,delivered"
)
WriteFolder = Callable[..., Path]


def row(**cells: str) -> str:
    """The good row with some cells changed."""
    values = dict(zip(HEADERS["shipments.csv"].split(","), GOOD_ROW.split(","), strict=True))
    assert cells.keys() <= values.keys()
    return ",".join((values | cells).values())


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """Write a history folder: each file by its name without .csv, as lines below the proper header."""

    def write(**files: list[str] | bytes) -> Path:
        folder = tmp_path / "history"
        folder.mkdir(exist_ok=True)
        for name, lines in files.items():
            content = lines if isinstance(lines, bytes) else "\n".join([HEADERS[f"{name}.csv"], *lines, ""]).encode()
            (folder / f"{name}.csv").write_bytes(content)
        return folder

    return write


@pytest.fixture
def rejected_dir(tmp_path: Path) -> Path:
    return tmp_path / "rejected"


@pytest.fixture
def read(rejected_dir: Path) -> Callable[[Path], History]:
    return lambda folder: read_history(folder, rejected_dir)


@pytest.fixture(scope="session")
def simulated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "history"
    simulate(folder, date(2026, 4, 15), accounts=250, months=18, seed=7)
    return folder


@pytest.fixture(scope="session")
def parcels_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real parcels where there are any, about as many simulated ones elsewhere."""
    real = Path(os.environ.get("CRM_REAL_DATA", "../shared/data")) / "olist"
    if (real / "shipments.csv").is_file():
        return real
    folder = tmp_path_factory.mktemp("parcels") / "history"
    simulate(folder, date(2026, 4, 15), accounts=120, months=10, seed=11)
    return folder
