"""`sightd models`: lists, downloads and verifies models, and creates int8 versions."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sightd.daemon.cli import inspect_model
from sightd.daemon.cli.arguments import SubParsers, calibration_pictures, model_named
from sightd.daemon.cli.output import complain, mebibytes, print_table
from sightd.daemon.common.progress import ProgressBar
from sightd.engines.errors import EngineError
from sightd.engines.model import MirrorSource, Model, PackageSource, Source, UrlSource
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror, holds, mirrored
from sightd.engines.models.store import ModelStore, default_directory, ensure_model
from sightd.engines.sessions.backends import PLAIN
from sightd.engines.sessions.loader import EngineLoader, LoadOptions

_EXAMPLES = """examples:
  sightd models list
  sightd models fetch deimv2-femto
  sightd models fetch --first deimv2-femto ssd-mobilenet-v2   the first one available; a stored one suffices
  sightd models fetch --mirror /media/usb yolox-nano        on a machine without internet access
  sightd models verify
  sightd models info ssd-mobilenet-v2
  sightd models inspect best.onnx                           what your own file contains, and what to write
  sightd models quantize ssd-mobilenet-v2 --calibrate recordings/   creates ssd-mobilenet-v2-int8 from your images
  sightd models quantize best.onnx --calibrate recordings/   creates best-int8.onnx beside your file
"""


def add(commands: SubParsers) -> None:
    parser = commands.add_parser(
        "models",
        help="list, download, verify and quantize models",
        description="Lists the models that a configuration can use, downloads and verifies their files, and quantizes "
        "them to int8 with your own images.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--directory", type=Path, help="folder of stored models (default: models in the cache)")
    actions.add_parser(
        "list", parents=[common], help="list all models, and which are stored on this machine"
    ).set_defaults(do=_list)
    fetch = actions.add_parser("fetch", parents=[common], help="download models to this machine")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.add_argument(
        "--first",
        action="store_true",
        help="download only the first available model; if one is already stored, download nothing",
    )
    fetch.add_argument("--mirror", type=Path, help="mirror folder (default: $SIGHTD_MODEL_MIRROR)")
    fetch.set_defaults(do=_fetch)
    verify = actions.add_parser("verify", parents=[common], help="check the checksums of stored files and run them")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all stored models")
    verify.set_defaults(do=_verify)
    info = actions.add_parser("info", parents=[common], help="show details of models")
    info.add_argument("names", nargs="+", metavar="NAME")
    info.set_defaults(do=_info)
    inspect_model.add(actions)
    quantize = actions.add_parser(
        "quantize",
        parents=[common],
        help="create int8 models, named NAME-int8",
        description="Creates int8 versions of stored models, or of ONNX files beside them, and reports their loss of "
        "accuracy on held-out images. The speed-up depends on model, processor and backend: SSD gains on all of them, "
        "YOLOX only on openvino.",
    )
    quantize.add_argument("names", nargs="+", metavar="NAME")
    quantize.add_argument(
        "--calibrate", nargs="+", type=Path, required=True, metavar="SOURCE",
        help="images, folders or videos from your cameras, used to measure the value ranges",
    )  # fmt: skip
    quantize.add_argument(
        "--pictures",
        type=calibration_pictures,
        default=125,
        metavar="N",
        help="number of images to use, evenly spread (default: %(default)s)",
    )
    quantize.set_defaults(do=_quantize)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if something failed, 2 if a model name is unknown."""
    if args.action == "inspect":
        return inspect_model.inspect(args)
    store = ModelStore(args.directory or default_directory(os.environ))
    catalog = with_custom_models(Catalog.load(), store.directory)
    try:
        models = [model_named(name, catalog) for name in getattr(args, "names", [])]
    except EngineError as error:
        return _fail(error, 2)
    code: int = args.do(args, catalog, store, models)
    return code


def _list(args: argparse.Namespace, catalog: Catalog, store: ModelStore, models: list[Model]) -> int:
    rows = []
    for model in catalog:
        path = store.find(model)
        stored = mebibytes(path.stat().st_size) if path else "-"
        size = f"{model.input.width}x{model.input.height}"
        rows.append((model.name, stored, size, model.licence, model.accuracy))
    print_table(("NAME", "STORED", "INPUT", "LICENCE", "ACCURACY"), rows)
    print(f"stored in {store.directory}")
    return 0


def _fetch(args: argparse.Namespace, catalog: Catalog, store: ModelStore, models: list[Model]) -> int:
    mirror = args.mirror or default_mirror(os.environ)
    if args.first:
        return _fetch_first(models, store, mirror)
    failed = 0
    for model in models:
        try:
            _provide(model, store, mirror)
        except EngineError as error:
            failed = _fail(error, 1)
    return failed


def _fetch_first(models: list[Model], store: ModelStore, mirror: Path | None) -> int:
    """Keeps a stored model unless a better one is in the mirror folder; otherwise fetches the first one available."""
    stored = next((index for index, model in enumerate(models) if store.find(model)), None)
    if stored is not None:
        if mirror is None or not _provide_better(models[:stored], store, mirror):
            print(f"{models[stored].name}: stored in {store.directory}")
        return 0
    failures: list[EngineError] = []
    for index, model in enumerate(models):
        try:
            _provide(model, store, mirror)
        except EngineError as error:
            failures.append(error)
            if index + 1 < len(models):
                trying = models[index + 1].name
                print(f"{model.name}: not available here ({error.summary}); trying {trying}", file=sys.stderr)
            continue
        return 0
    return max(_fail(error, 1) for error in failures)


def _provide_better(models: list[Model], store: ModelStore, mirror: Path) -> bool:
    """Whether one of the models was taken from the mirror folder, without network access."""
    for model in models:
        if holds(mirror, model):
            try:
                _provide(mirrored(model), store, mirror)
            except EngineError as error:
                print(f"{model.name}: not available in the mirror folder ({error})", file=sys.stderr)
            else:
                return True
    return False


def _provide(model: Model, store: ModelStore, mirror: Path | None) -> None:
    with ProgressBar() as progress:
        path = ensure_model(model, store, Fetcher(progress, mirror))
    print(f"{model.name}: {path} ({_origin(store, model)})")


def _verify(args: argparse.Namespace, catalog: Catalog, store: ModelStore, models: list[Model]) -> int:
    """Verifies the hashes, then loads each model and runs it once."""
    loader = EngineLoader(catalog, store, LoadOptions(fetch=False, preference=PLAIN))
    failed = 0
    for model in models or [model for model in catalog if store.path(model).exists()]:
        try:
            store.verify(model)
            loader.load([model]).close()
        except EngineError as error:
            failed = _fail(error, 1)
        else:
            print(f"{model.name}: unchanged and runs ({_origin(store, model)})")
    return failed


def _quantize(args: argparse.Namespace, catalog: Catalog, store: ModelStore, models: list[Model]) -> int:
    # Imported here: `sightd models list` needs neither a video library nor the quantiser.
    from sightd.daemon.tools.media import MediaError
    from sightd.daemon.tools.quantize import make_int8
    from sightd.plugins.api import PluginError

    failed = 0
    for model in models:
        try:
            with ProgressBar(unit="pictures") as progress:
                made = make_int8(model, store, args.calibrate, args.pictures, progress, progress.print)
        except (EngineError, MediaError, PluginError) as error:
            failed = _fail(error, 1)
        else:
            print(f"{made.name}: {made.path}\n  {made.summary}\n  {made.accuracy}")
    return failed


def _info(args: argparse.Namespace, catalog: Catalog, store: ModelStore, models: list[Model]) -> int:
    for model in models:
        spec = model.input
        affine = f"scale {spec.scale:g}, mean {spec.mean}, std {spec.std}"
        print(f"{model.name}: {model.summary}")
        print(f"  role      {model.role}, head {model.head}, {sum(map(bool, model.labels))} classes")
        print(f"  accuracy  {model.accuracy}")
        print(f"  licence   {model.licence}")
        print(f"  input     {spec.tensor or 'image'} {spec.width}x{spec.height} {spec.colour}, {spec.resize}, {affine}")
        print(f"  classes   {', '.join(filter(None, model.labels))}")
        for source in model.sources:
            print(f"  source    {_described(source)}")
        record = store.record(model)
        print(f"  stored    {store.problem(model) or store.path(model)}")
        if record:
            print(f"  origin    {_origin(store, model)}, {record.stored_at}, sha256 {record.sha256}")
    return 0


def _origin(store: ModelStore, model: Model) -> str:
    if model.path is not None:
        return model.summary
    record = store.record(model)
    if record is None:
        return "origin unknown"
    pin = (
        f"sha256 {record.source_sha256} recorded at first download, not pinned"
        if record.learnt
        else "sha256 matches the pin"
    )
    return f"from {record.origin}, {pin}" + (f", converted by {record.converter}" if record.converter else "")


def _described(source: Source) -> str:
    pin = f"sha256 {source.sha256}" if source.sha256 else "not pinned: recorded at the first download"
    size = f"{mebibytes(source.size)}, " if source.size else ""
    match source:
        case UrlSource():
            return f"{source.url} ({size}{pin})"
        case PackageSource():
            return f"{source.member} of package {source.package} {source.version} ({size}{pin})"
        case MirrorSource():
            return f"{source.file} in the mirror folder ({size}{pin})"


def _fail(error: Exception, code: int) -> int:
    complain(error)
    return code
