"""Settings: a wrong one is one sentence that names it."""

import pytest

from shared import settings
from shared.settings import SettingsError, load_settings, settings_or_exit

WRONG = [
    ("CRM_HTTP_PORT", "abc", "CRM_HTTP_PORT is wrong"),
    ("CRM_HTTP_PORT", "70000", "CRM_HTTP_PORT is wrong"),
    ("CRM_POOL_SIZE", "5", "CRM_POOL_SIZE is wrong"),
    ("CRM_OIDC_ALGORITHMS", "ES256,HS256", "CRM_OIDC_ALGORITHMS is wrong"),
    ("CRM_OIDC_ALGORITHMS", "none", "CRM_OIDC_ALGORITHMS is wrong"),
    ("CRM_OIDC_ISSUER", "https://id.example", "CRM_OIDC_JWKS_URL"),
    ("CRM_OIDC_JWKS_URL", "ftp://id.example", "CRM_OIDC_JWKS_URL is wrong"),
    ("CRM_KAFKA_BOOTSTRAP", "localhost", "CRM_KAFKA_BOOTSTRAP is wrong"),
    ("CRM_TIERING_DATABASE_URL", "mysql://a:geheim@b/c", "CRM_TIERING_DATABASE_URL is wrong"),
    ("CRM_LOG_LEVEL", "loud", "CRM_LOG_LEVEL is wrong"),
    ("CRM_LOG_FORMAT", "xml", "CRM_LOG_FORMAT is wrong"),
    ("CRM_SLOT", "a b", "CRM_SLOT is wrong"),
    ("CRM_HTPT_PORT", "1", "did you mean CRM_HTTP_PORT?"),
    ("CRM_FLUX", "1", "CRM_FLUX is not a setting"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_setting_is_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence.replace("?", r"\?")) as error:
        load_settings()
    assert "\n" not in str(error.value)
    assert "geheim" not in str(error.value)
    with pytest.raises(SystemExit) as end:
        settings_or_exit()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"{error.value}\n"


def test_what_is_missing_is_named_when_it_is_needed() -> None:
    empty = load_settings()
    with pytest.raises(SettingsError, match="CRM_TICKETS_DATABASE_URL is not set"):
        empty.database_url("tickets")
    with pytest.raises(SettingsError, match="CRM_KAFKA_BOOTSTRAP is not set"):
        empty.bootstrap()


def test_values_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_ALLOWED_HOSTS", "crm.example, localhost")
    monkeypatch.setenv("CRM_KAFKA_BOOTSTRAP", "a:9092,b:9092")
    monkeypatch.setenv("CRM_TIERING_DATABASE_URL", "postgresql://app:geheim@db/tiering")
    monkeypatch.setenv("CRM_REAL_DATA", "/data")
    read = load_settings(http_port=9000)
    assert read.allowed_hosts == ("crm.example", "localhost")
    assert (read.bootstrap(), read.http_port) == ("a:9092,b:9092", 9000)
    assert read.owner_url("tiering") == read.database_url("tiering") == "postgresql://app:geheim@db/tiering"
    assert "geheim" not in repr(read)


def test_the_document_lists_every_setting_and_is_current() -> None:
    assert all(f"`CRM_{name.upper()}`" in settings.render() for name in settings.Settings.model_fields)
    assert all(field.description for field in settings.Settings.model_fields.values())
    assert settings.main(["check"]) == 0
