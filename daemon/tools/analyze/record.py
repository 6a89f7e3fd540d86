"""Formats what was found on a frame as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sightd.daemon.tools.media import Item
from sightd.plugins.api import JsonOptions, JsonValue, Results, merged_json


@dataclass(frozen=True, slots=True)
class Record:
    """A frame's record: `values` consists of `FRAME_KEYS` and the JSON forms of all results; `problems` says which keys
    of results were left out because they are in use."""

    values: dict[str, JsonValue]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, item: Item, results: Results, options: JsonOptions) -> Record:
        """Raises what a result's `to_json` raises."""
        frame = item.frame
        header: dict[str, JsonValue] = {
            "source": item.source,
            "frame": frame.seq,
            "pts": None if frame.pts is None else round(frame.pts, 6),
            "width": frame.width,
            "height": frame.height,
        }
        found, problems = merged_json(results, options)
        return cls(header | found, problems)

    def line(self) -> str:
        r"""Returns the record as JSON in UTF-8. Bytes of a file name that are not UTF-8 are escaped: "\xfc" becomes
        "\udcfc", which Python's `os.fsencode` turns back into the name."""
        text = json.dumps(self.values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode()
