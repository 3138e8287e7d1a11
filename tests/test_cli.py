"""The command `crm` says what a person can mend in one sentence, with the exit code that goes with it."""

from pathlib import Path

import pytest

from services.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["token", "--role", "branch_manager"], "Say where: --unit, for instance HQ"),
        (["token", "--role", "king", "--unit", "HQ"], "there is no role king"),
        (["token", "--role", "shipper", "--unit", "HQ"], "a shipper has an account and no unit"),
        (["parked", "retry"], "Say one number from `crm parked list`, or --all."),
        (["parked", "list", "--service", "sales"], "There is no service sales"),
        (["outbox", "republish", "--since", "yesterday"], "yesterday is no instant with an offset and no age"),
        (["report", "export", "some-id", "report.docx"], "report.docx does not end with one of .html, .pdf, .xlsx, .csv, .json."),
        (["import", "shipments", "/nowhere.csv", "--dry-run"], "/nowhere.csv is missing"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_is_asked_wrongly_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRM_LOCAL", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
