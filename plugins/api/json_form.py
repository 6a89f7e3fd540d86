"""The JSON form of a frame's results, merged from those of each result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from sightd.plugins.api.reports import JsonOptions, JsonValue
from sightd.plugins.api.results import Classification, Detections, Events, Faces, Results

FRAME_KEYS = ("source", "camera", "time", "frame", "pts", "width", "height")
"""Keys of a record that describe the frame itself, in files of `sightd analyze` or live; no result may use them."""
STANDARD_KEYS: Mapping[str, type] = {
    "detections": Detections,
    "keypoint_names": Detections,
    "skeleton": Detections,
    "classification": Classification,
    "faces": Faces,
    "events": Events,
}
"""Keys of the standard result types, which no other type may use, in the order in which they are written."""


class JsonResult(Protocol):
    """A result type with a JSON form. `sightd analyze` writes the form of every result that has one."""

    def to_json(self, results: Results, options: JsonOptions) -> Mapping[str, JsonValue]:
        """Returns keys to be merged into the frame's record. `results` holds all results of the frame.

        A key that another result has already used, or one of `FRAME_KEYS`, is left out of the record and reported as an
        error.
        """
        ...


def merged_json(results: Results, options: JsonOptions) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Returns the merged JSON forms of all results, and a message for each key that was left out because it is in use.

    Standard types come first, in a fixed order, then all others in the order of the chain. Raises what `to_json`
    raises, and TypeError if it returns something else than a mapping of text.
    """
    merged: dict[str, JsonValue] = {}
    problems: list[str] = []
    user = dict.fromkeys(FRAME_KEYS, "the frame itself")
    for result in _ordered(results):
        name = type(result).__name__
        for key, value in json_of(result, results, options).items():
            if key in user:
                problems.append(f'the key "{key}" of {name}.to_json is left out: it is already used by {user[key]}')
            else:
                merged[key], user[key] = value, name
    return merged, tuple(problems)


def json_of(result: object, results: Results, options: JsonOptions) -> Mapping[str, JsonValue]:
    """Returns the JSON form of one of the `results`; empty if it has none. Raises like `merged_json`."""
    if not callable(getattr(type(result), "to_json", None)):
        return {}
    form: object = cast(JsonResult, result).to_json(results, options)
    if not isinstance(form, Mapping) or not all(isinstance(key, str) for key in form):
        raise TypeError(f"{type(result).__name__}.to_json must return a mapping with text as keys")
    return form


def _ordered(results: Results) -> list[object]:
    ranks = {kind: rank for rank, kind in enumerate(STANDARD_KEYS.values())}
    return sorted(results, key=lambda result: ranks.get(type(result), len(STANDARD_KEYS)))
