"""`sightd engine`: manages the TensorRT engines built for this machine's GPU."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers, calibration_pictures, model_named
from sightd.daemon.cli.output import complain, exit_code_of, mebibytes
from sightd.daemon.common.progress import ProgressBar
from sightd.daemon.tools.engines import BuildRequest, BuildTarget, Report, bench, build
from sightd.engines.errors import EngineError, TensorRtUnavailableError, UnknownModelError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import with_input_name
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.onnx_file import read_precision
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.sessions.tensorrt import names
from sightd.engines.sessions.tensorrt.builder import BatchRange
from sightd.engines.sessions.tensorrt.cache import EngineCache, engines_directory
from sightd.engines.sessions.tensorrt.ensure import open_device
from sightd.engines.sessions.tensorrt.names import Flavour
from sightd.plugins.api import PluginError

_EXAMPLES = """examples:
  sightd engine build yolox-nano                                  fp16, batches of 1 to 16
  sightd engine build yolox-nano --precision file --batch 1:1:4   precision of the model file
  sightd engine build yolox-nano --calibrate recordings/          int8, calibrated on your own recordings
  sightd engine build yolox-nano --picture hall.jpg door.jpg      verified on your own images
  sightd engine bench yolox-nano                                  compared with ONNX Runtime on the CPU
  sightd engine list
  sightd engine verify
  sightd engine prune --size 2G                                   or --all

The exit code is 0 on success, 1 if something failed, 2 for wrong usage, 3 if neither TensorRT nor TensorRT-RTX is
installed or there is no GPU.
"""
Work = Callable[[BuildRequest, BuildTarget, Report], None]

_FLAVOURS = {"auto": tuple(Flavour), "tensorrt": (Flavour.TENSORRT,), "tensorrt-rtx": (Flavour.RTX,)}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "engine",
        help="build, list, verify TensorRT engines",
        description="Builds and manages TensorRT engines for the GPU of this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    stored = argparse.ArgumentParser(add_help=False)
    stored.add_argument(
        "--engines", metavar="FOLDER", type=Path, help=("folder of stored engines (default: in the cache)")
    )
    for name, summary, do in (
        ("build", "build engines that are not stored yet", _build),
        ("bench", "benchmark engines; builds missing ones", _bench),
    ):
        action = actions.add_parser(name, parents=[stored], help=summary)
        _add_build_options(action)
        action.set_defaults(do=do)
    actions.add_parser("list", parents=[stored], help="list stored engines, most recently used first").set_defaults(
        do=_list
    )
    actions.add_parser("verify", parents=[stored], help="check stored engines against their metadata").set_defaults(
        do=_verify
    )
    prune = actions.add_parser("prune", parents=[stored], help="remove damaged and least recently used engines")
    size = prune.add_mutually_exclusive_group()
    size.add_argument("--size", type=_bytes, metavar="SIZE", help="how much to keep, such as 500M or 2G (default: 8G)")
    size.add_argument("--all", action="store_const", const=0, dest="size", help="remove every engine")
    prune.set_defaults(do=_prune)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    return exit_code_of(
        lambda: args.do(args, EngineCache(args.engines or engines_directory(os.environ))),
        {TensorRtUnavailableError: 3, UnknownModelError: 2, EngineError: 1, ValueError: 1},
    )


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="models that are stored here, or ONNX files")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "fp16", "int8", "file"),
        default="auto",
        help="auto: fp16 for fp32 models, otherwise the precision of the file; file: always the precision "
        "of the file; fp32 requires an fp32 model, int8 an int8 model or --calibrate",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        type=Path,
        default=[],
        metavar="SOURCE",
        help="first create NAME-int8 with these images, folders or videos, as `sightd models quantize` does",
    )
    parser.add_argument(
        "--pictures",
        type=calibration_pictures,
        default=125,
        metavar="N",
        help=("number of them to use, evenly spread (default: 125)"),
    )
    parser.add_argument("--batch", type=_batch, default=BatchRange(1, 4, 16), metavar="LEAST:USUAL:MOST")
    parser.add_argument("--device", default="auto", help='"cuda:0", "cuda:1", … or "auto"')
    parser.add_argument("--runtime", choices=tuple(_FLAVOURS), default="auto", help="which TensorRT")
    parser.add_argument("--picture", nargs="+", type=Path, default=[], metavar="FILE", help="images to verify on")
    parser.add_argument(
        "--models", metavar="FOLDER", type=Path, help=("folder of stored models (default: in the cache)")
    )


def _build(args: argparse.Namespace, cache: EngineCache) -> int:
    return _with_gpu(args, cache, build)


def _bench(args: argparse.Namespace, cache: EngineCache) -> int:
    return _with_gpu(args, cache, bench)


def _with_gpu(args: argparse.Namespace, cache: EngineCache, work: Work) -> int:
    """Runs `work` for each model; if one fails, continues with the others."""
    from sightd.daemon.tools.media import MediaError  # a video library; `sightd engine list` needs none

    if args.calibrate and args.precision not in ("auto", "int8"):
        print(f"sightd: --calibrate creates int8 models: remove --precision {args.precision}", file=sys.stderr)
        return 2
    store = ModelStore(args.models or default_directory(os.environ))
    catalog = with_custom_models(Catalog.load(), store.directory)
    models = [model_named(name, catalog) for name in args.names]
    trt = names.load(_FLAVOURS[args.runtime])
    device = open_device(args.device)
    failed = 0
    try:
        for model in models:
            try:
                work(_build_request(args, model, store), BuildTarget(trt, device, cache), print)
            except (EngineError, MediaError, PluginError) as error:
                complain(error)
                failed = 1
    finally:
        device.close()
    return failed


def _build_request(args: argparse.Namespace, model: Model, store: ModelStore) -> BuildRequest:
    """Raises EngineError, MediaError or PluginError if the model, or its int8 version, is unavailable in the requested
    precision."""
    if args.calibrate:
        from sightd.daemon.tools.quantize import make_int8

        with ProgressBar(unit="pictures") as progress:
            model = make_int8(model, store, args.calibrate, args.pictures, progress, progress.print)
        print(f"{model.name}: {model.summary}\n  {model.accuracy}")
    file = store.verify(model)
    model = with_input_name(model, file)
    own = read_precision(file)
    if args.precision == "int8" and own != "int8":
        raise EngineError(
            f"{model.name} is {own}: use --calibrate SOURCE to quantize it to int8 with images from your cameras"
        )
    if args.precision == "fp32" and own != "fp32":
        raise EngineError(f"{model.name} is {own} and cannot be converted to fp32: use `--precision file`")
    halved = args.precision == "fp16" or (args.precision == "auto" and own == "fp32")
    return BuildRequest(model, file, "fp16" if halved else own, args.batch, args.picture)


def _list(args: argparse.Namespace, cache: EngineCache) -> int:
    for entry in cache.entries():
        told = entry.note.identity
        used = datetime.fromtimestamp(entry.used_at, UTC).strftime("%Y-%m-%d %H:%M")
        measures = ", ".join(f"{name} {value:.4g}" for name, value in entry.note.measures.items())
        print(f"{told.model}: {told.precision}, batch {told.profile}, {mebibytes(entry.note.size)}")
        print(f"  {told.runtime} on {told.gpu} ({told.compute_capability}); used {used} UTC")
        print(f"  verified: {measures}")
    print(f"stored in {cache.directory}")
    return 0


def _verify(args: argparse.Namespace, cache: EngineCache) -> int:
    """Checks only the files' bytes: accuracy against ONNX Runtime was verified when the engine was built."""
    failed = 0
    for path in sorted(cache.directory.glob("*.engine")):
        if problem := cache.damage(path):
            print(f"sightd: {path.name}: {problem}. Remove it with `sightd engine prune`", file=sys.stderr)
            failed = 1
        else:
            print(f"{path.name}: unchanged")
    return failed


def _prune(args: argparse.Namespace, cache: EngineCache) -> int:
    removed = cache.prune(capacity=args.size)
    for path in removed:
        print(f"removed {path.name}")
    left = sum(entry.note.size for entry in cache.entries())
    print(f"{len(removed)} removed, {mebibytes(left)} left in {cache.directory}")
    return 0


def _batch(text: str) -> BatchRange:
    try:
        return BatchRange.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: write LEAST:USUAL:MOST, such as 1:4:16") from error


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)", text.upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write a number with K, M or G, such as 2G")
    return int(found[1]) * _UNITS[found[2]]
