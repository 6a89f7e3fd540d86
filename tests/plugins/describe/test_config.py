"""The options: an address of the internet needs permission, secrets are never shown, mistakes are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sightd.engines.models.catalog import Catalog
from sightd.plugins.describe.config import DescribeConfig

CATALOG = Catalog.load()
LOCAL = "http://127.0.0.1:8080/v1"


def test_only_the_address_is_required_and_a_slash_at_its_end_does_not_matter() -> None:
    config = DescribeConfig(url=f"{LOCAL}/")
    assert config.address == f"{LOCAL}/chat/completions"
    assert not config.allow_remote
    assert not config.problems(CATALOG)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://203.0.113.9:8080/v1"])
def test_a_remote_endpoint_needs_permission(url: str) -> None:
    [problem] = DescribeConfig(url=url).problems(CATALOG)
    assert problem.path == ("url",)
    assert "would leave this machine" in problem.message
    assert "allow_remote: true" in problem.hint
    assert not DescribeConfig(url=url, allow_remote=True).problems(CATALOG)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("127.0.0.1:8080/v1", "is no http:// or https:// address"),
        ("ftp://127.0.0.1/v1", "is no http:// or https:// address"),
        ("http:///v1", "is no http:// or https:// address"),
        ("http://127.0.0.1:http/v1", "is no http:// or https:// address"),
        ("http://[::1/v1", "is no http:// or https:// address"),
        ("http://127.0.0.1/v 1", "contains spaces"),
        ("http://me:Kanari3@127.0.0.1/v1", "write the API token in `token`"),
        ("http://127.0.0.1/v1?key=Kanari3", 'must not contain "\\?"'),
        ("http://127.0.0.1/v1/chat/completions/", "leave out /chat/completions"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        DescribeConfig(url=url)
    assert "Kanari3" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel", ""])
def test_a_token_that_fits_into_no_header_is_refused(token: str) -> None:
    with pytest.raises(ValidationError, match="printable ASCII"):
        DescribeConfig.model_validate({"url": LOCAL, "token": token})


def test_the_token_is_not_shown() -> None:
    config = DescribeConfig.model_validate({"url": LOCAL, "token": "Kanari3"})
    assert "Kanari3" not in f"{config!r} {config}"


def test_something_must_be_described() -> None:
    with pytest.raises(ValidationError, match="at least one kind of event in events, or one class in classes"):
        DescribeConfig(url=LOCAL, classes=[])
    assert DescribeConfig(url=LOCAL, classes=[], events=["motion.began"]).events == ["motion.began"]


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), ("nothing", "contains no usable certificate")])
def test_authorities_that_cannot_be_read_are_a_problem_of_that_option(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    [problem] = DescribeConfig(url="https://127.0.0.1/v1", ca_file=path).problems(CATALOG)
    assert problem.path == ("ca_file",)
    assert reason in problem.message
