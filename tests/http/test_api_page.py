"""The page of an API in a browser: complete, and served whole by the service itself."""

from html import escape
from importlib import import_module

import pytest

from shared.access import POLICY
from shared.api_page import render
from shared.settings import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_shows_every_operation_and_loads_nothing(service: str) -> None:
    document = import_module(f"services.{service}.main").app.openapi()
    page = render(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"<code>{method.upper()} {escape(path)}</code>" in page
            assert all(role in page for role in POLICY[operation["operationId"]].roles)
    assert "<script" not in page
    assert "src=" not in page
    assert "//" not in page.replace("<!doctype html>", "")
