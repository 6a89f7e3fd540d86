"""Measures how many small persons a detector finds in each mode of `look:`, and the cost: `python -m bench.eyes`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from bench.eyes.measure import (
    Footage,
    OneModel,
    cpu_per_second,
    detector,
    first_seen,
    runs_per_second,
    share_found,
    truth,
    watched,
)
from bench.eyes.scenes import Scene, arrivals, still, street
from sightd.plugins.api import FloatArray
from sightd.plugins.detector import Detector

FOUND, COST, GATED, LATER = 1.8, 1.5, 0.1, 0.5
"""Targets: regions find this many times what the frame finds, at most at this cost; the gate's share of the cost of a
still scene; how much later (s) the gate may find somebody."""
_SETTLED, _LEARNED = 3.0, 9.0
"""Seconds at the beginning of a street and of the still scene that are not counted: everything is looked at then."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if all targets are met, else 1."""
    parser = argparse.ArgumentParser(prog="bench.eyes", description=__doc__)
    parser.add_argument("--model", default="yolox-nano", help="model that is measured (default: %(default)s)")
    parser.add_argument("--truth", help="model of the truth (default: the same)")
    parser.add_argument("--fps", type=float, default=5.0, help="analysed frames per second (default: %(default)s)")
    parser.add_argument("--runs", type=float, default=6.0, help="runs_per_second of regions (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the scenes (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="leave out tiles, which take longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    context = OneModel()
    exhaustive = detector(context, args.truth or args.model, {"look": "tiles", "min_score": 0.4})
    regions = {"mode": "regions", "runs_per_second": args.runs}
    modes: dict[str, dict[str, Any]] = {
        "frame": {},
        "frame, gated": {"gate": "activity"},
        "regions": {"look": regions},
        "regions, gated": {"look": regions, "gate": "activity"},
    }
    if not args.quick:
        modes["tiles"] = {"look": "tiles"}
    detectors = {name: detector(context, args.model, options) for name, options in modes.items()}
    scenes = [street(1, 12, args.seconds, 210), street(2, 24, args.seconds, 160)]
    figures: dict[str, Any] = {}
    for scene in scenes:
        _say(f"{scene.name}: truth")
        footage = Footage(scene, args.fps)
        true = truth(footage, exhaustive)
        figures[scene.name] = {name: _on(footage, one, true, _SETTLED) for name, one in detectors.items()}
    nobody = Footage(still(_LEARNED + args.seconds, 210), args.fps)
    figures["still"] = {name: _on(nobody, one, None, _LEARNED) for name, one in detectors.items()}
    figures["arrivals"] = _arrivals(arrivals(3, 6 + args.seconds, 210), args.fps, detectors)
    _print(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    met = _met(figures, [scene.name for scene in scenes])
    for target, is_met in met.items():
        print(f"{'met   ' if is_met else 'MISSED'} {target}")
    return 0 if all(met.values()) else 1


def _on(footage: Footage, one: Detector, true: Sequence[FloatArray] | None, after: float) -> dict[str, float]:
    """Returns the figures of a detector on a scene, from `after` s on."""
    _say(f"{footage.scene.name}: {'gated' if one.config.gate != 'off' else 'plain'} {one.config.look}")
    moments = watched(footage, one)
    found = {} if true is None else {"found": share_found(moments, true, after)}
    return {
        **found,
        "cpu_ms_per_s": cpu_per_second(moments, footage.fps, after),
        "runs_per_s": runs_per_second(moments, footage.fps, after),
    }


def _arrivals(scene: Scene, fps: float, detectors: dict[str, Any]) -> dict[str, Any]:
    found, footage = {}, Footage(scene, fps)
    for name, one in detectors.items():
        _say(f"{scene.name}: {name}")
        found[name] = first_seen(scene, watched(footage, one))
    return {name: {str(person): delay for person, delay in delays.items()} for name, delays in found.items()}


def _print(figures: dict[str, Any]) -> None:
    for scene, modes in figures.items():
        if scene == "arrivals":
            print(f"\n{scene:18} first seen after (s)")
            for name, delays in modes.items():
                print(f"  {name:16} " + " ".join(f"{person}:{delay:.1f}" for person, delay in delays.items()))
            continue
        print(f"\n{scene:18} small persons found   CPU ms per s   runs per s")
        for name, row in modes.items():
            print(f"  {name:16} {_percent(row):>19} {row['cpu_ms_per_s']:14.1f} {row['runs_per_s']:12.2f}")


def _percent(row: dict[str, float]) -> str:
    return f"{row['found']:.0%}" if "found" in row else "–"


def _met(figures: dict[str, Any], streets: Sequence[str]) -> dict[str, bool]:
    met = {}
    for name in streets:
        frame, regions = figures[name]["frame"], figures[name]["regions"]
        met[f"{name}: regions find {FOUND} x frame"] = regions["found"] >= max(FOUND * frame["found"], 0.01)
        met[f"{name}: at {COST} x its cost"] = regions["cpu_ms_per_s"] <= COST * frame["cpu_ms_per_s"]
    for mode in ("frame", "regions"):
        of = figures["still"]
        ratio = of[f"{mode}, gated"]["cpu_ms_per_s"] / of[mode]["cpu_ms_per_s"]
        met[f"still: gated {mode} costs {ratio:.1%} of ungated, at most {GATED:.0%}"] = ratio <= GATED
        plain, gated = figures["arrivals"][mode], figures["arrivals"][f"{mode}, gated"]
        late = max((gated.get(person, 1e9) - delay for person, delay in plain.items()), default=0.0)
        met[f"arrivals: gated {mode} at most {LATER} s later (worst: {late:.1f})"] = late <= LATER
    return met


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
