"""Templates put fields of events into texts, escaped so that the result stays valid."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from sightd.daemon.config.event_template import EventTemplate, TemplateError

RECORD = {
    "id": 812,
    "kind": "zone.entered",
    "camera": 'gate "7"\n',
    "person": None,
    "score": 0.5,
    "facts": {"zone": "drive", "seconds": 2},
}


def test_fields_are_texts_or_json_and_other_braces_stand_for_themselves() -> None:
    template = EventTemplate('{"text": "{kind} at {camera}", "x": [{score:json}, {person:json}, {facts:json}]}', "json")
    assert json.loads(template.render(RECORD)) == {
        "text": 'zone.entered at gate "7"\n',
        "x": [0.5, None, {"zone": "drive", "seconds": 2}],
    }


def test_facts_have_placeholders_of_their_own_and_missing_ones_are_empty() -> None:
    template = EventTemplate("{facts.zone}/{facts.seconds}/{facts.other}/{person}/{zone}", "none")
    assert template.render(RECORD) == "drive/2///"


def test_forms_are_percent_encoded() -> None:
    template = EventTemplate("camera={camera}&id={id}&facts={facts:json}", "form")
    fields = parse_qs(template.render(RECORD))
    assert fields == {"camera": ['gate "7"\n'], "id": ["812"], "facts": ['{"zone": "drive", "seconds": 2}']}


@pytest.mark.parametrize("text", ["{what}", "{kind.name}", "{facts.a.b} {nothing:json}"])
def test_a_placeholder_that_names_no_field_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError, match="names no field; there are: schema, id, kind"):
        EventTemplate(text, "none")


@pytest.mark.parametrize("text", ['{"a": {kind}}', '{"a": "{kind:json}"}', "{kind}", '{"a": 1'])
def test_a_template_whose_result_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError, match="not valid JSON"):
        EventTemplate(text, "json")
