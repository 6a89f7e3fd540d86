"""Training for one's own objects: what 50 labelled frames of a camera are worth, and what they cost.

Usage: python -m bench.own_objects [--film NAME] [--steps N]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

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
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second of the film (default: %(default)g)")
    parser.add_argument("--labelled", type=int, default=50, help="labelled frames (default: %(default)s)")
    parser.add_argument("--tested", type=int, default=60, help="held-out frames (default: %(default)s)")
    parser.add_argument("--steps", default="500", help="training steps (default: %(default)s)")
    args = parser.parse_args()
    film = SampleStore(cache_directory(os.environ) / "samples").ensure(
        args.film, Fetcher(silent, default_mirror(os.environ))
    )
    seconds = (length(sequences(film)[0]) or 0) / args.fps
    with tempfile.TemporaryDirectory() as folder:
        root, border = Path(folder), _TRAINED * seconds
        labelled = scene(film, (0, border), args.labelled, 1)
        held_out = scene(film, (border + _GAP * seconds, seconds + 1), args.tested, 2)
        train, test = (
            write_coco(root / name, made, args.film) for name, made in (("labelled", labelled), ("test", held_out))
        )
        options = ["--name", "bench-own", "--steps", args.steps, "--test", str(test), "--every", "100"]
        places = ["--work", str(root / "work"), "--report", str(root / "report"), "--directory", str(root / "models")]
        begun, cpu = time.monotonic(), time.process_time()
        code = sightd(["detector", "train", str(train), *options, *places])
        spent = time.monotonic() - begun, time.process_time() - cpu
        print(f"{spent[0]:.0f} s, of which {spent[1]:.0f} s CPU time; {len(os.sched_getaffinity(0))} cores")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
