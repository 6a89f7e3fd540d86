"""Training for one's own objects: what 50 labelled frames of a camera are worth, and what they cost.

Usage: python -m bench.own_objects [--film NAME] [--steps N]
       python -m bench.own_objects --yard FILM --size 640      a film of a fixed camera that overlooks a yard or street
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.yard import LABELS, Person, compose, picked
from sightd.daemon.cli.main import main as sightd
from sightd.daemon.tools.media import length, sequences
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from tests.support.own_objects import scene, write_coco

_TRAINED, _GAP = 0.65, 0.05
"""Share of the film that is labelled, and the share after it that is skipped before the test begins."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", default="single_face.mp4", help="a sample (default: %(default)s, a fixed camera)")
    parser.add_argument(
        "--fps", type=float, default=30.0, help="frames per second of the sample (default: %(default)g)"
    )
    parser.add_argument("--yard", type=Path, metavar="FILM", help="put small moving objects into this film instead")
    parser.add_argument(
        "--person", type=float, nargs=2, default=(0.025, 0.27), metavar="X",
        help="height of a person at the top and bottom of the yard's frame, as shares of it (default: 0.025 0.27)",
    )  # fmt: skip
    parser.add_argument("--labelled", type=int, default=50, help="labelled frames (default: %(default)s)")
    parser.add_argument("--tested", type=int, default=60, help="held-out frames (default: %(default)s)")
    parser.add_argument("--steps", default="500", help="training steps (default: %(default)s)")
    parser.add_argument("--size", default="416", help="side of the model's input (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        train, test = _of_yard(args, root) if args.yard else _of_sample(args, root)
        options = ["--name", "bench-own", "--steps", args.steps, "--size", args.size, "--test", str(test)]
        places = ["--work", str(root / "work"), "--report", str(root / "report"), "--directory", str(root / "models")]
        return _measured(["detector", "train", str(train), "--every", "100", *options, *places])


def _measured(arguments: Sequence[str]) -> int:
    begun, cpu = time.monotonic(), _cpu_seconds()
    code = sightd(list(arguments))
    spent = time.monotonic() - begun, _cpu_seconds() - cpu
    print(f"{spent[0]:.0f} s, of which {spent[1]:.0f} s CPU time; {len(os.sched_getaffinity(0))} cores")
    return code


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _of_sample(args: argparse.Namespace, root: Path) -> tuple[Path, Path]:
    film = SampleStore(cache_directory(os.environ) / "samples").ensure(
        args.film, Fetcher(silent, default_mirror(os.environ))
    )
    seconds = (length(sequences(film)[0]) or 0) / args.fps
    border = _TRAINED * seconds
    labelled = scene(film, (0, border), args.labelled, 1)
    held_out = scene(film, (border + _GAP * seconds, seconds + 1), args.tested, 2)
    return write_coco(root / "labelled", labelled, args.film), write_coco(root / "test", held_out, args.film)


def _of_yard(args: argparse.Namespace, root: Path) -> tuple[Path, Path]:
    film = root / "yard.mp4"
    boxes, fps = compose(args.yard, film, Person(*args.person), 3)
    labelled = picked(film, boxes, fps, (0, _TRAINED), args.labelled)
    held_out = picked(film, boxes, fps, (_TRAINED + _GAP, 1), args.tested)
    return (
        write_coco(root / "labelled", labelled, "yard", LABELS),
        write_coco(root / "test", held_out, "yard", LABELS),
    )


if __name__ == "__main__":
    raise SystemExit(main())
