"""`sightd check` names options of notifications that cannot be used, without any part of a URL but its scheme."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from sightd.daemon.config.delivery import Delivery, problems_of

pytestmark = pytest.mark.computing


def problems(*urls: str, **options: Any) -> str:
    """Returns the problems of a sink as lines of path, message and hint."""
    delivery = {"sinks": {"phone": {"type": "notify", "urls": list(urls), **options}}}
    found = problems_of(Delivery.model_validate(delivery))
    return "\n".join(f"{'.'.join(path)} {message}: {hint}" for path, message, hint in found)


def test_urls_that_apprise_does_not_understand_are_named_by_number_and_scheme() -> None:
    pytest.importorskip("apprise", reason="apprise is not installed: make setup")
    found = problems("ntfys://canary@ntfy.example.com/yard", "canary", "odd://canary", "tgram://canary")
    assert found.splitlines() == [
        "sinks.phone.urls.1 is not a URL: write an Apprise URL, such as ntfys://HOST/TOPIC",
        "sinks.phone.urls.2 (odd://…) is not a URL that Apprise can use: see Apprise's documentation for the form of "
        "this service's URLs",
        "sinks.phone.urls.3 (tgram://…) is not a URL that Apprise can use: see Apprise's documentation for the form of "
        "this service's URLs",
    ]


def test_a_missing_package_is_named_with_its_extra_and_urls_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str, _package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    assert problems("canary") == "sinks.phone.type requires the package apprise: run: pip install 'sightd[notify]'"


@pytest.mark.parametrize("name", ["title", "body"])
def test_templates_name_fields(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.config.notifications._usable", lambda urls: [True] * len(urls))
    assert f"sinks.phone.{name} {{camra}} names no field" in problems("json://x", **{name: "{camra}"})
    assert problems("json://x", **{name: "{camera}: {text}"}) == ""


@pytest.mark.parametrize("url", ["sightd.example.com", "ftp://sightd.example.com", "https://"])
def test_the_public_url_is_one_of_http(url: str) -> None:
    [(path, _, hint)] = problems_of(Delivery.model_validate({"public_url": url}))
    assert (path, hint) == (("public_url",), "write https://HOST")
