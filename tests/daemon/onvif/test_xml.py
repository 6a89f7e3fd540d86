"""XML of cameras is read without entities, document types or unbounded structures."""

from __future__ import annotations

import pytest

from sightd.daemon.onvif import xml
from sightd.daemon.onvif.xml import XmlError, parse, text, written

pytestmark = pytest.mark.computing


def test_elements_are_found_by_local_names_whatever_their_namespace() -> None:
    root = parse(b'<a xmlns="x" xmlns:n="y"><n:b n:c="1"> t <d/> u </n:b><b>2</b></a>')
    assert [one.text for one in root.all("b")] == ["t  u", "2"]
    assert root.all("b")[0].attributes == {"c": "1"}
    assert root.value("b/d", "otherwise") == ""
    assert root.value("b/e", "otherwise") == "otherwise"
    assert [one.name for one in root.walk()] == ["a", "b", "d", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY b "bbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/evil.dtd"><a/>',
        b'<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><a/>',
    ],
    ids=["bare", "entity bomb", "external subset", "parameter entity"],
)
def test_document_types_are_refused_before_anything_is_expanded(data: bytes) -> None:
    with pytest.raises(XmlError, match="document type"):
        parse(data)


@pytest.mark.parametrize(
    "data", [b"", b"text", b"<a>", b"<a></b>", b"<a>&unknown;</a>", b'<?xml version="1.0" encoding="utf-99"?><a/>']
)
def test_what_is_not_well_formed_is_refused(data: bytes) -> None:
    with pytest.raises(XmlError, match="not well-formed"):
        parse(data)


def test_depth_and_number_of_elements_are_limited() -> None:
    assert parse(b"<a>" * xml.MOST_DEPTH + b"</a>" * xml.MOST_DEPTH).name == "a"
    for data in (b"<a>" * 70 + b"</a>" * 70, b"<a>" + b"<b/>" * xml.MOST_ELEMENTS + b"</a>"):
        with pytest.raises(XmlError, match="more than"):
            parse(data)


def test_what_is_written_is_read_back() -> None:
    made = written("a", text("b", "<&>\"'"), written("c", x="<1>"), xml_lang="en")
    root = parse(made.encode())
    assert root.value("b") == "<&>\"'"
    (empty,) = root.all("c")
    assert empty.attributes == {"x": "<1>"}
