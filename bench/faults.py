"""Measures how soon camera faults are noticed and recovered from: `python -m bench.faults`.

Runs a daemon with two cameras and applies faults to one of them with a proxy: every fault once per round, plus a round
without a fault for comparison. Observes from outside: metrics 20 times a second, and a viewer of each camera.
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

from tests.support.fault_harness import LONGEST, SLATE_AFTER, TIMEOUT, Course, FaultHarness, p95
from tests.support.faults import FAULTS, Fault

SEEN, SLATE, RECOVERY = TIMEOUT + 0.5, SLATE_AFTER + 0.2, LONGEST + 2
"""Aims, s. Faults that keep the connection open are noticed by the slate, within the slate's time."""
EFFECT = 0.1
"""Aim: the other camera's latency (95th percentile over all rounds) grows by less than this fraction."""
_SECONDS = 6.0
_NOTHING = Fault("nothing", lambda patient: None, lambda patient: None)
"""Shows how much frame ages vary by themselves."""


def missed(fault: Fault, rounds: Sequence[Course]) -> list[str]:
    """Returns the aims missed in any of the rounds; the first is that a fault that must be noticed was noticed."""
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
    """Returns the relative change of the other camera's latency over the frames of all rounds, because the 95th
    percentile of a few seconds varies by itself."""
    before, during = _latency(rounds)
    return during / before - 1


def row(fault: Fault, rounds: Sequence[Course]) -> str:
    """Returns a row of the Markdown table."""
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
    """Returns 0 if all aims were met, 1 if one was missed."""
    parser = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds per fault (3); 4 min each")
    parser.add_argument("--only", metavar="FAULT", help="only this fault, by its name in the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    args = parser.parse_args(argv)
    faults = [fault for fault in (*FAULTS, _NOTHING) if args.only in (None, fault.name)]
    if args.rounds < 1 or not faults:
        parser.error(f"at least one round, and one of: {', '.join(fault.name for fault in (*FAULTS, _NOTHING))}")
    courses: dict[Fault, list[Course]] = {fault: [] for fault in faults}
    with tempfile.TemporaryDirectory() as folder, FaultHarness(Path(folder)) as harness:
        for number, fault in itertools.product(range(1, args.rounds + 1), faults):
            sys.stderr.write(f"round {number} of {args.rounds}: {fault.name}\n")
            courses[fault].append(harness.suffer(fault, well=_SECONDS, ill=_SECONDS))
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
    """Formats the shortest and the longest time in s; a dash if there is none."""
    known = [one for one in times if one is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.1f}", f"{max(known):.1f}"
    return f"{high} s" if low == high else f"{low}-{high} s"


if __name__ == "__main__":
    raise SystemExit(main())
