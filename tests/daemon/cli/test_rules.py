"""`sightd rules` lists rules and tries them on a film: what each event would become, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.cli.main import main
from tests.daemon.tools.test_media import write_video
from tests.support import media
from tests.support.daemon import one_object_network
from tests.support.networks import stored
from tests.support.process_logging import restored

RULES: dict[str, Any] = {
    "things": {"kinds": ["zone.entered"], "classes": ["thing"], "active": "sat 18:00-07:00", "timezone": "UTC"},
    "people": {"kinds": ["zone.*"], "classes": ["person"], "cooldown": "30s", "per": "zone"},
}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with two cameras, one of which sees a "thing" in the zone "yard" on every frame."""
    yard = {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]], "min_dwell": 0}
    path = tmp_path / "site.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "cameras": {"gate": {"source": "testpattern://"}, "hall": {"source": "testpattern://", "chain": []}},
                "chain": ["detector", "tracker", "zones"],
                "plugins": {
                    "detector": one_object_network(tmp_path),
                    "zones": {"cameras": {"gate": {"zones": {"yard": yard}}}},
                },
                "events": {"rules": RULES},
            },
            sort_keys=False,
        )
    )
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(tmp_path / "film.mp4", 10)


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.computing
def test_each_event_of_a_film_is_decided_about_with_the_reasons(
    config: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rules", "test", str(film), "-c", str(config), "--camera", "gate", "--json"]
    assert main([*command, "--begins", "2026-03-07T21:00+00:00"]) == 0
    *events, summary = records(capsys)
    by_kind = {event["kind"]: event for event in events}
    entered = by_kind["zone.entered"]
    assert (entered["stored"], entered["rules"], entered["held_back"]) == (True, ["things"], {"people": ["classes"]})
    assert entered["camera"] == "gate"
    assert entered["facts"]["zone"] == "yard"
    assert 0 <= entered["at"] < 1
    assert entered["time"].startswith("2026-03-07T21:00:00.")
    assert not by_kind["zone.occupied"]["stored"]
    numbers = summary["summary"]
    assert (numbers["events"], numbers["stored"]) == (len(events), 1)
    assert numbers["rules"]["things"] == {"selected": 1, "held_back": {}}
    about_zones = [kind for kind in by_kind if kind.startswith("zone.")]
    assert numbers["rules"]["people"]["held_back"] == {"classes": len(about_zones)}


@pytest.mark.computing
def test_people_get_a_table_and_the_exit_code_says_if_no_rule_selects_anything(
    config: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rules", "test", str(film), "-c", str(config), "--camera", "gate"]
    assert main([*command, "--begins", "2026-03-07T17:00+00:00"]) == 1, "the schedule begins at 18:00"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["TIME", "STORED", "SELECTED", "BY", "HELD", "BACK", "BY", "EVENT"]
    [entered] = [line for line in lines if "zone.entered," in line]
    assert " ".join(entered[1:7]) == "no - things: active; people: classes"
    assert ["things", "0", "active", "1"] in lines


def test_a_film_that_cannot_be_read_is_an_error(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rules", "test", "-c", str(config), "--camera", "gate"]
    assert main([*command, str(tmp_path / "none.mp4")]) == 1
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "a.jpg").write_bytes(b"")
    assert main([*command, str(tmp_path / "a.jpg")]) == 1
    assert "is not a film" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "has several cameras: choose with --camera gate | hall"),
        (["--camera", "gat"], 'has no camera gat; did you mean "gate"?'),
        (["--camera", "hall"], "the chain of camera hall is empty, so it has no events"),
    ],
)
def test_the_camera_must_be_one_that_has_events(
    arguments: list[str], message: str, config: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "test", str(film), "-c", str(config), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_time_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rules", "test", "film.mp4", "--begins", "18:30 o'clock"])
    assert "expected a date and time such as 2026-03-02T18:30" in capsys.readouterr().err


def test_rules_are_listed_as_a_table_and_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "list", "-c", str(config)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "RULE KINDS COOL-DOWN CONDITIONS",
        "things zone.entered - classes thing, active sat 18:00-07:00, timezone UTC",
        "people zone.* 30 s per zone classes person",
    ]
    assert main(["rules", "list", "-c", str(config), "--json"]) == 0
    expected = {"name": "people", "kinds": ["zone.*"], "classes": ["person"], "cooldown": 30.0, "per": "zone"}
    assert records(capsys)[1] == expected


def test_a_configuration_without_rules_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("cameras: {gate: {source: testpattern://}}")
    assert main(["rules", "list", "-c", str(path)]) == 2
    assert "has no rules: add events: {rules: …}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(600)
def test_on_a_street_a_rule_selects_the_people_who_cross_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted by eye: two people walk over the kerb, one after the other. The film has no time of day, so the schedule
    is met."""
    stored("yolox-nano")
    path = tmp_path / "street.yaml"
    kerb = {"points": [[0.55, 1], [0.55, 0]]}
    rules = {
        "people": {"kinds": ["line.crossed"], "lines": ["kerb"], "classes": ["person"], "active": "mon 03:00-03:01"},
        "first": {"kinds": ["line.crossed"], "classes": ["person"], "cooldown": "1h"},
        "fast": {"kinds": ["line.crossed"], "at_least": {"speed_kmh": 30}},
    }
    path.write_text(
        yaml.safe_dump(
            {
                "cameras": {"street": {"source": "testpattern://"}},
                "chain": ["detector", "tracker", "zones"],
                "plugins": {
                    "detector": {"model": "yolox-nano"},
                    "zones": {"cameras": {"street": {"lines": {"kerb": kerb}}}},
                },
                "events": {"rules": rules},
            }
        )
    )
    assert main(["rules", "test", str(media.path("bikes.mp4")), "-c", str(path), "--json"]) == 0
    *events, last = records(capsys)
    crossings, summary = [one for one in events if one["kind"] == "line.crossed"], last["summary"]
    assert summary["rules"]["people"]["selected"] == 2
    assert summary["rules"]["first"]["selected"] == 1
    assert summary["rules"]["first"]["held_back"]["cooldown"] == 1
    assert summary["rules"]["fast"] == {"selected": 0, "held_back": {"at_least": len(crossings)}}
