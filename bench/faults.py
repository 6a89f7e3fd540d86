"""What befalls cameras, how soon it is seen, and how soon it is over: `python -m bench.faults`.

A daemon with two cameras; faults befall one of them, by a proxy before it, in each round all of them and once nothing.
Looked at from outside, by metrics 20 times a second and by a viewer of each camera.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.support.fault_ward import LONGEST, SLATE_AFTER, TIMEOUT, Course, Ward, p95
from tests.support.faults import FAULTS, Fault

SEEN, SLATE, RECOVERY = TIMEOUT + 0.5, SLATE_AFTER + 0.2, LONGEST + 2
"""Aims: seconds. Faults in which the connection stands are seen by the slate, in the slate's time."""
EFFECT = 0.1
"""Aim: the other camera's latency (95 %, of all rounds) grows by less than this share."""
_SECONDS = 6.0
_NOTHING = Fault("nothing", lambda patient: None, lambda patient: None)
"""What the ages of pictures do by themselves."""


def missed(fault: Fault, rounds: Sequence[Course]) -> list[str]:
    """The aims that were missed in any of the rounds; first of all, that what must be noticed was."""
    seen = SEEN if fault.reasons else SLATE
    aims = {
        "noticed": not fault.reasons or all(course.detected is not None for course in rounds),
        "shown": not (fault.reasons and fault.lasting) or all(course.slate is not None for course in rounds),
        "seen": _most(course.detected for course in rounds) <= seen,
        "slate": _most(course.slate for course in rounds) <= SLATE,
        "over": _most(course.recovered for course in rounds) <= RECOVERY,
        "viewers": all(course.viewer_stayed for course in rounds),
        "lost": _lost(rounds) == 0,
        "latency": effect(rounds) < EFFECT,
    }
    return [aim for aim, kept in aims.items() if not kept]


def effect(rounds: Sequence[Course]) -> float:
    """By how much the other camera's latency moved, as a share; over all pictures of the rounds, since the 95 % point
    of a few seconds moves by itself."""
    before, during = _latency(rounds)
    return during / before - 1


def row(fault: Fault, rounds: Sequence[Course]) -> str:
    """Of the table in Markdown."""
    seen, slate = (_range([getattr(course, name) for course in rounds]) for name in ("detected", "slate"))
    over = _range([course.recovered for course in rounds])
    reasons = sorted(set(itertools.chain.from_iterable(course.reasons for course in rounds)))
    before, during = _latency(rounds)
    single = [course.effect for course in rounds]
    latency = (
        f"{before * 1e3:.0f} -> {during * 1e3:.0f} ms, {effect(rounds):+.0%} ({min(single):+.0%} to {max(single):+.0%})"
    )
    end = "MISSED: " + ", ".join(aims) if (aims := missed(fault, rounds)) else "kept"
    cells = (fault.name, seen, slate, ", ".join(reasons), over, str(_lost(rounds)), latency, end)
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all aims were kept, 1 where one was missed."""
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each befalls (3); 4 min each")
    parser.add_argument("--only", metavar="FAULT", help="this one alone, by its name in the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    faults = [fault for fault in (*FAULTS, _NOTHING) if args.only in (None, fault.name)]
    if args.rounds < 1 or not faults:
        parser.error(f"at least one round, and one of: {', '.join(fault.name for fault in (*FAULTS, _NOTHING))}")
    courses: dict[Fault, list[Course]] = {fault: [] for fault in faults}
    with tempfile.TemporaryDirectory() as folder, Ward(Path(folder)) as ward:
        for number, fault in itertools.product(range(1, args.rounds + 1), faults):
            sys.stderr.write(f"round {number} of {args.rounds}: {fault.name}\n")
            courses[fault].append(ward.suffer(fault, well=_SECONDS, ill=_SECONDS))
    print("| fault | seen after | slate after | counted as | over after | the other loses | its latency (95 %) | |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(row(fault, rounds) for fault, rounds in courses.items()))
    if args.json:
        args.json.write_text(json.dumps([asdict(course) for course in itertools.chain(*courses.values())], indent=1))
    return 1 if any(missed(fault, rounds) for fault, rounds in courses.items()) else 0


def _latency(rounds: Sequence[Course]) -> tuple[float, float]:
    before = [age for course in rounds for age in course.others_before]
    return p95(before), p95([age for course in rounds for age in course.others_during])


def _lost(rounds: Sequence[Course]) -> int:
    return sum(course.others_lost for course in rounds)


def _most(times: Iterable[float | None]) -> float:
    return max((one for one in times if one is not None), default=0.0)


def _range(times: Sequence[float | None]) -> str:
    """The shortest and the longest; a dash where it never was."""
    known = [one for one in times if one is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.1f}", f"{max(known):.1f}"
    return f"{high} s" if low == high else f"{low}-{high} s"


if __name__ == "__main__":
    raise SystemExit(main())
