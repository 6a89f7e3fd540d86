"""Draws the dashboard as an image, from its own queries on a running daemon: `python -m bench.dashboard OUT.png`.

No Grafana is needed: it starts a daemon with two cameras, one of which is offline for a while, and a real Prometheus.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.text import width_of, write_text
from tests.support.fault_harness import FaultHarness
from tests.support.prometheus import RULES, Prometheus

PANELS = (
    "Cameras",
    "Frames by how far they came",
    "Median, 95 %, 99 %",
    "Lost, by reason",
    "Stages, mean",
    "Plug-ins, mean of a call",
    "Offline picture shown",
    "Memory",
)
_SIZE, _ACROSS, _MARGIN, _HEAD, _FOOT = (620, 260), 2, 60, 34, 40
_GROUND, _INK, _GRID = (24, 20, 18), (205, 200, 195), (52, 46, 44)
_COLOURS = (
    (115, 191, 105), (242, 204, 12), (50, 140, 255), (242, 73, 92), (87, 148, 242), (184, 119, 217), (122, 209, 255),
)  # fmt: skip
"""BGR."""
Canvas = NDArray[np.uint8]


def picture(prometheus: Prometheus, since: float, until: float) -> Canvas:
    """Draws all panels in a grid, BGR. `since` and `until` are Unix times in s."""
    panels = {
        panel["title"]: panel for panel in json.loads((RULES.parent / "grafana" / "sightd.json").read_text())["panels"]
    }
    tiles = [_panel(panels[title], prometheus, since, until) for title in PANELS]
    rows = [np.hstack(tiles[n : n + _ACROSS]) for n in range(0, len(tiles), _ACROSS)]
    return np.vstack(rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A series: its name, and float64 [n, 2] of times (Unix s) and values."""

    name: str
    samples: NDArray[np.float64]

    @property
    def highest(self) -> float:
        return float(np.nanmax(self.samples[:, 1]))


def _lines(panel: dict[str, Any], prometheus: Prometheus, since: float, until: float) -> list[_Line]:
    """Returns the series of a panel, at most one per colour; those that are not all zero come first."""
    found = []
    for target in panel["targets"]:
        expression = re.sub(r"\$(instance|camera)\b", ".*", target["expr"]).replace("$__rate_interval", "15s")
        for series in prometheus.query_range(expression, since, until):
            name = target["legendFormat"]
            for label, text in series["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", text)
            found.append(_Line(name or panel["title"], np.array(series["values"], np.float64)))
    return sorted(found, key=lambda line: line.highest == 0)[: len(_COLOURS)]


def _panel(panel: dict[str, Any], prometheus: Prometheus, since: float, until: float) -> Canvas:
    width, height = _SIZE
    tile = np.full((height, width, 3), _GROUND, np.uint8)
    cv2.rectangle(tile, (4, 4), (width - 5, height - 5), _GRID, 1)
    lines = _lines(panel, prometheus, since, until)
    highest = max((line.highest for line in lines), default=0.0) or 1.0
    left, foot, high = _MARGIN, height - _FOOT, height - _FOOT - _HEAD - 8
    for share in (0.0, 0.5, 1.0):
        level = round(foot - share * high)
        cv2.line(tile, (left, level), (width - 16, level), _GRID, 1)
    top = _readable(highest, panel["fieldConfig"]["defaults"]["unit"])
    texts = [(panel["title"], 14, 25, 15), (top, 12, _HEAD + 16, 12), ("0", 12, foot, 12)]
    at = left
    for line, colour in zip(lines, _COLOURS, strict=False):
        across = left + (line.samples[:, 0] - since) / (until - since) * (width - left - 16)
        down = foot - np.nan_to_num(line.samples[:, 1]) / highest * high
        points = np.stack((across, down), axis=1).round().astype(np.int32)
        cv2.polylines(tile, [points], False, colour, 2, cv2.LINE_AA)
        room = width_of(line.name, 12)
        if at + room < width - 30:
            cv2.line(tile, (at, height - 18), (at + 12, height - 18), colour, 3)
            texts.append((line.name, at + 18, height - 13, 12))
            at += room + 36
    cover = np.zeros((height, width), np.float32)
    for text, x, baseline, size in texts:
        write_text(cover, text, x, baseline, size)
    return np.rint(tile * (1 - cover[..., None]) + np.array(_INK) * cover[..., None]).astype(np.uint8)


def _readable(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"
    return f"{value / 2**20:.0f} MiB" if unit == "bytes" else f"{value:.3g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the daemon for `--seconds`, then writes the image."""
    parser = argparse.ArgumentParser(prog="bench.dashboard", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--seconds", type=float, default=90.0, help="(default: %(default)g)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            FaultHarness(folder) as harness,
            Prometheus(folder, harness.daemon.url("").removeprefix("http://")) as prometheus,
        ):
            since = time.time()
            time.sleep(args.seconds / 2)
            harness.patient.proxy.refuse()
            time.sleep(args.seconds / 6)
            harness.patient.proxy.heal()
            time.sleep(args.seconds / 3)
            args.out.write_bytes(cv2.imencode(".png", picture(prometheus, since + 5, time.time()))[1].tobytes())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
