"""What the options allow, and what they say about the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sightd.plugins.zones.config import CameraZones, ZonesConfig

SQUARE = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
ZONE, LINE = {"corners": SQUARE}, {"points": [[0, 0], [1, 1]]}


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        ZonesConfig.model_validate({"cameras": {"yard": given}})
    return str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"zones": {"a": {"corners": [[400, 400], [600, 400], [600, 600]]}}}, "[400, 400] is outside 0 to 1: write fr"),
        (
            {"size": [500, 700], "zones": {"a": {"corners": [[4, 4], [600, 4], [6, 6]]}}},
            "[600, 4] is outside the frame",
        ),
        ({"zones": {"a": {"corners": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]}}}, "edges 1 and 3 cross or touch"),
        ({"zones": {"a": {"corners": SQUARE[:2]}}}, "at least 3 items"),
        ({"zones": {"a": {"corners": SQUARE * 9}}}, "at most 32 items"),
        ({"zones": {str(number): ZONE for number in range(33)}}, "at most 32 items"),
        ({"lines": {str(number): LINE for number in range(33)}}, "at most 32 items"),
        ({"lines": {"a": {"points": [[0.5, 0.5], [0.5, 0.5]]}}}, "both points are the same"),
        ({"zones": {"a": ZONE}, "lines": {"a": LINE}}, '"a" is a zone and a line'),
        ({"zones": {"../x": ZONE}}, "String should match pattern"),
        ({"zones": {"a": {**ZONE, "active": "mon-fri 18:00-7pm"}}}, '"7pm" is no time'),
        ({"zones": {"a": {**ZONE, "loiter_after": "0s"}}}, "greater than zero"),
        ({"zones": {"a": {**ZONE, "crowd": 1}}}, "greater than or equal to 2"),
        (
            {"plane": {"corners": [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]], "metres": [[0, 0]] * 4}},
            "in order around",
        ),
        (
            {"scale": {"points": [[0, 0], [1, 1]], "metres": 2}, "plane": {"corners": SQUARE, "metres": SQUARE}},
            "has scale and plane",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    assert message in refused(given)


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no time zone"):
        ZonesConfig(timezone="Europe/Nowhere")
    assert ZonesConfig(timezone="Europe/Berlin").timezone == "Europe/Berlin"


def test_pixels_are_fractions_of_the_stated_size() -> None:
    given = {"size": [200, 100], "zones": {"a": {"corners": [[0, 0], [100, 0], [100, 50]]}}, "lines": {"b": LINE}}
    given["lines"] = {"b": {"points": [[5, 1], [10, 2]], "size": [10, 2]}}
    zones = CameraZones.model_validate(given)
    assert zones.zones["a"].fractions == ((0, 0), (0.5, 0), (0.5, 0.5))
    assert zones.lines["b"].fractions == ((0.5, 0.5), (1, 1)), "a size of its own comes first"


def test_what_is_written_can_be_read_again() -> None:
    given = {
        "size": [200, 100],
        "zones": {"a": {"corners": [[0, 0], [100, 0], [100, 50]], "loiter_after": "90s", "min_dwell": "250ms"}},
        "plane": {"corners": [[0, 0], [100, 0], [100, 50], [0, 50]], "metres": [[0, 0], [4, 0], [4, 9], [0, 9]]},
    }
    zones = CameraZones.model_validate(given)
    written = zones.model_dump(mode="json", exclude_defaults=True)
    assert (written["zones"]["a"]["loiter_after"], written["zones"]["a"]["min_dwell"]) == ("90s", "0.25s")
    assert CameraZones.model_validate(written) == zones


def test_a_camera_without_zones_of_its_own_has_those_of_every_camera() -> None:
    config = ZonesConfig.model_validate({"cameras": {"*": {"zones": {"a": ZONE}}, "yard": {"zones": {"b": ZONE}}}})
    assert config.of_camera("yard").names == {"b"}
    assert config.of_camera("street").names == {"a"}
    assert not ZonesConfig().of_camera("street").names
