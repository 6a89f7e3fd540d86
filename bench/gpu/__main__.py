"""The command: `python -m bench.gpu`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from bench.gpu.desk import Image
from bench.gpu.run import Options, all_rows, exit_code
from bench.pipeline.report import progress, table
from sightd.daemon.pipeline.model_loading import verifier_of
from sightd.engines.cuda import driver
from sightd.engines.cuda.errors import CudaUnavailableError
from sightd.engines.cuda.gpus import Gpu, Gpus
from sightd.engines.errors import EngineError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.sessions.backends import BackendName, Precision, Preference
from sightd.engines.sessions.factories import installed_backends
from sightd.engines.sessions.loader import EngineLoader, LoadOptions
from sightd.engines.sessions.tensorrt.verify import reference_pictures

BACKENDS: tuple[BackendName, ...] = ("tensorrt", "onnxruntime-cuda")


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        pictures = [_read(path) for path in args.pictures] or reference_pictures(8)
        loader = _loader(Gpus())
    except EngineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    width, height = args.size
    options = Options((width, height), args.batch, args.seconds, pictures, args.feeds)
    engines = [(name, partial(_on(name, loader, args).load, [args.model])) for name in BACKENDS]
    rows = all_rows(lambda: _gpu(loader.gpus, args.device), engines, options)
    table(["WHAT", "FIGURE", "AIM", "VERDICT"], [[row.what, row.figure, row.aim, row.verdict] for row in rows])
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return exit_code(rows)


def _gpu(gpus: Gpus, which: str) -> Gpu:
    if reason := driver.available():
        raise CudaUnavailableError(reason)
    gpu = gpus.get(which)
    major, minor = gpu.device.compute_capability
    print(f"{gpu.device.name}, compute capability {major}.{minor}, {gpu.device.memory_total / 2**30:.0f} GiB\n")
    return gpu


def _loader(gpus: Gpus) -> EngineLoader:
    store = ModelStore(default_directory(os.environ))
    return EngineLoader(
        with_custom_models(Catalog.load(), store.directory),
        store,
        LoadOptions(
            default_mirror(os.environ),
            progress=lambda what, done, total: progress(f"{what} {done}/{total}") if done == total else None,
        ),
        installed_backends(verifier_of, gpus),
        gpus,
    )


def _on(name: BackendName, loader: EngineLoader, args: argparse.Namespace) -> EngineLoader:
    preference = Preference((name,), args.precision, args.device)
    return replace(loader, options=replace(loader.options, preference=preference))


def _read(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise EngineError(f"{path} cannot be read as an image")
    return np.asarray(image, np.uint8)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()) or int(width) % 2 or int(height) % 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 1920x1080, both even")
    return int(width), int(height)


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("one feed is the least")
    return numbers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description="Holds the GPU's kernels and the detector's whole way against the CPU path, and times them. "
        "See bench/README.md. Exit code 0: all aims kept, 1: one missed, 3: nothing could be run.",
    )
    parser.add_argument("--model", default="yolox-tiny", help="the detector's network (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=get_args(Precision), help="what it computes in")
    parser.add_argument("--device", default="cuda:0", help="which GPU (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each window (default: %(default)g)")
    parser.add_argument("--size", type=_size, default="1920x1080", help="pictures whose bytes are counted")
    parser.add_argument("--batch", type=int, default=16, help="and how many at once (default: %(default)s)")
    parser.add_argument(
        "--feeds",
        type=_numbers,
        default="1,2,4,8,16,32,64",
        help="cameras of that size at 30 fps (default: %(default)s)",
    )
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], metavar="FILE", help="instead of drawn ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
