"""What befalls cameras, how soon it is seen, and how soon it is over: `python -m bench.faults`.

A daemon with two cameras; faults befall one of them, by a proxy before it. Looked at from outside, by metrics 20 times
a second and by viewers of both cameras.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.support.fault_ward import LONGEST, SLATE_AFTER, TIMEOUT, Course, Ward
from tests.support.faults import FAULTS

RECOVERY = LONGEST + 2
"""Aim: seconds after the camera is well again."""
EFFECT = 0.1
"""Aim: the other camera's latency (95 %) grows by less than this share."""


def kept(course: Course) -> bool:
    """Whether every aim was kept."""
    return (
        course.recovered <= RECOVERY
        and course.viewer_stayed
        and course.others_lost == 0
        and course.effect < EFFECT
        and (course.detected is None or (course.detected <= TIMEOUT + 0.5 and (course.slate or 0) <= SLATE_AFTER + 0.2))
    )


def row(course: Course) -> str:
    """Of the table in Markdown."""
    seen = "pictures go on" if course.detected is None else f"{course.detected:.1f} s"
    slate = "" if course.slate is None else f"{course.slate:.1f} s"
    reasons = ", ".join(f"{name} x{count}" for name, count in sorted(course.reasons.items()))
    latency = f"{course.others_before * 1e3:.0f} -> {course.others_during * 1e3:.0f} ms"
    over, end = f"{course.recovered:.1f} s", "kept" if kept(course) else "MISSED"
    return f"| {course.fault} | {seen} | {slate} | {reasons} | {over} | {course.others_lost} | {latency} | {end} |"


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all aims were kept, 1 where one was missed."""
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    courses: list[Course] = []
    print("| fault | seen after | slate after | counted as | over after | the other loses | its latency (95 %) | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, Ward(Path(folder)) as ward:
        for fault in FAULTS:
            courses.append(ward.suffer(fault, well=6.0, ill=6.0))
            print(row(courses[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(course) for course in courses], indent=1))
    return 0 if all(map(kept, courses)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
