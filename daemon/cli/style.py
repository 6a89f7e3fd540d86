"""`sightd style`: lists and previews styles, and trains new ones."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers, number
from sightd.daemon.cli.output import exit_code_of

if TYPE_CHECKING:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.engines.models.catalog import Catalog

_EXAMPLES = """examples:
  sightd style list
  sightd style sheet photo.jpg --out styles.jpg      the photo in every style, labelled
  sightd style train painting.jpg --content recordings/ --name mine
"""

_TRAIN = """examples:
  sightd style train painting.jpg --content recordings/            takes minutes on two CPU cores
  sightd style train painting.jpg --content street.mp4 --name mine --likeness 30
  sightd style train painting.jpg --content photos/ --all          a separate model; needs a GPU

Adds a style to the published model of 26 styles: a scale and a shift for each of its channels. The new style can be
mixed with the others and used immediately:

  plugins: {style: {style: mine}}

During training, previews and a checkpoint are written to the folder NAME-training; after an interruption, run the same
command again to resume. --all trains all weights; then configure the model instead: plugins: {style: {model: mine}}.

Needs PyTorch: .venv/bin/pip install 'sightd[train]'. Exit code: 0 on success, 1 if
the input is invalid, 3 if a model is not available, 130 if interrupted.
"""

_SUFFIXES = (".jpg", ".jpeg", ".png")
_COUNT = number(int, lambda value: value >= 1, "a positive whole number")
_SIDE = number(int, lambda value: 32 <= value <= 1024 and value % 4 == 0, "a multiple of 4 from 32 to 1024")
_WEIGHT = number(float, lambda value: 0 < value < float("inf"), "a number above 0")
_SCALE = number(float, lambda value: 0.1 <= value <= 10, "a number from 0.1 to 10")


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "style",
        help="list styles, preview them, train new ones",
        description="Lists and previews the styles of the style plug-in, and trains new ones.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list all styles").set_defaults(do=_list)
    sheet = actions.add_parser("sheet", help="create a contact sheet: one photo in every style")
    sheet.add_argument("photo", type=Path, metavar="PHOTO")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .jpg or .png file")
    sheet.add_argument("--side", type=int, default=200, metavar="PIXELS", help="width of each image (default: 200)")
    sheet.set_defaults(do=_sheet)
    _add_train(actions)
    parser.set_defaults(run=run)


def _add_train(actions: SubParsers) -> None:
    train = actions.add_parser(
        "train",
        help="train the style of a painting",
        description="Trains the style model on a painting.",
        epilog=_TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("painting", type=Path, metavar="PAINTING", help="image of the painting")
    train.add_argument(
        "--content", nargs="+", type=Path, required=True, metavar="SOURCE",
        help="images, folders or videos to train on, ideally from your cameras",
    )  # fmt: skip
    train.add_argument("--name", metavar="NAME", help="name of the new style (default: name of the painting)")
    train.add_argument("--steps", type=_COUNT, metavar="N", help="training steps (default: 300, with --all 20000)")
    train.add_argument(
        "--side", type=_SIDE, metavar="PIXELS",
        help="size of the training crops: smaller is faster (default: 192, with --all 256)",
    )  # fmt: skip
    train.add_argument(
        "--likeness", type=_WEIGHT, default=10.0, metavar="X",
        help="weight of the style relative to the content (default: %(default)g)",
    )  # fmt: skip
    train.add_argument(
        "--scale", type=_SCALE, default=1.0, metavar="X",
        help="scale of the brush strokes: 2 makes them twice as coarse (default: %(default)g)",
    )  # fmt: skip
    train.add_argument("--all", action="store_true", help="train all weights, for this style only")
    train.add_argument(
        "--work", type=Path, metavar="FOLDER", help="folder of previews and checkpoint (default: NAME-training)"
    )
    train.add_argument(
        "--every", type=_COUNT, default=50, metavar="N",
        help="steps between previews and checkpoints (default: %(default)s)",
    )  # fmt: skip
    train.add_argument("--directory", type=Path, help="model folder, as in `models.directory`")
    train.set_defaults(do=_train)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 success, 1 if a file cannot be read or written, 3 if a model or the plug-in is unavailable, 130 if
    interrupted."""
    from sightd.daemon.tools.media import MediaError
    from sightd.daemon.tools.training.preflight import TrainingError
    from sightd.engines.errors import EngineError
    from sightd.plugins.api import PluginError

    codes = {TrainingError: 1, MediaError: 1, EngineError: 3, PluginError: 3, OSError: 1}
    return exit_code_of(lambda: args.do(args), codes)


def _list(args: argparse.Namespace) -> int:
    from sightd.daemon.config.load import known_networks
    from sightd.daemon.config.model import Models
    from sightd.engines.labels import STYLES, WITH_OWN

    own = known_networks(Models(), os.environ).models.get(WITH_OWN)
    for name in STYLES if own is None else own.labels:
        print(name)
    return 0


def _sheet(args: argparse.Namespace) -> int:
    import cv2

    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.model import Engines, Models
    from sightd.daemon.isolation.opening import PluginContext
    from sightd.daemon.pipeline.model_loading import engine_loading
    from sightd.daemon.tools.media import read_picture
    from sightd.daemon.tools.style_sheet import contact_sheet
    from sightd.engines.files import write_whole
    from sightd.plugins.configuration import registry

    if args.out.suffix.lower() not in _SUFFIXES or not args.out.absolute().parent.is_dir():
        print(f"sightd: {args.out}: must be a .jpg or .png file in an existing folder", file=sys.stderr)
        return 1
    picture, painter = read_picture(args.photo), registry.load("style")
    with ProgressBar() as progress:
        load = engine_loading(Models(), Engines(), progress)
        context = PluginContext("style", len(os.sched_getaffinity(0)), load, painter.Config(), [])
        sheet = contact_sheet(picture, args.side, painter, context)
    try:
        write_whole(args.out, cv2.imencode(args.out.suffix, sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
    except OSError as error:
        print(f"sightd: {args.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(args.out)
    return 0


def _train(args: argparse.Namespace) -> int:
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.tools.training.preflight import import_torch

    import_torch()
    try:
        with ProgressBar(unit="") as progress:
            name, network = _learnt(args, progress)
    except KeyboardInterrupt:
        print("interrupted; run the same command to resume from the last checkpoint", file=sys.stderr)
        return 130
    option = f"model: {name}" if args.all else f"style: {name}"
    print(f"{name}: stored as {network}")
    print(f"to use it: plugins: {{style: {{{option}}}}}")
    return 0


def _learnt(args: argparse.Namespace, progress: ProgressBar) -> tuple[str, Path]:
    """Trains the style. Returns its name and the model file that contains it."""
    from sightd.daemon.config.load import known_networks
    from sightd.daemon.config.model import Models
    from sightd.daemon.tools.media import read_picture
    from sightd.daemon.tools.training.images import pictures_of
    from sightd.daemon.tools.training.preflight import checked, name_from
    from sightd.daemon.tools.training.style.job import Material, StyleJob
    from sightd.daemon.tools.training.style.trainer import Plan
    from sightd.engines.files import digest_of
    from sightd.engines.labels import STYLES, WITH_OWN
    from sightd.engines.models.catalog import Catalog
    from sightd.engines.models.fetch import Fetcher
    from sightd.engines.models.mirror import default_mirror
    from sightd.engines.models.store import ModelStore, default_directory, ensure_model

    catalog, store = Catalog.load(), ModelStore(args.directory or default_directory(os.environ))
    known = known_networks(Models(directory=args.directory), os.environ)
    name = checked(
        args.name or name_from(args.painting.stem), {*STYLES, *catalog.models, WITH_OWN}, _others(known, args.all)
    )
    plan = (Plan.of_all if args.all else Plan.of_row)(args.steps, args.side, args.likeness, args.scale)
    painting = read_picture(args.painting)
    pictures, left_out = pictures_of(args.content, plan.side)
    for line in left_out:
        progress.print(f"skipped: {line}")
    material = Material(painting, digest_of(args.painting).sha256, pictures)
    work = args.work or Path(f"{name}-training")
    work.mkdir(parents=True, exist_ok=True)
    for network in ("style26", "vgg16"):
        ensure_model(catalog.get(network), store, Fetcher(progress, default_mirror(os.environ)))
    learnt = StyleJob(material, plan, store, work, args.every).run(name, progress, progress.print)
    assert learnt.path is not None
    return name, learnt.path


def _others(known: Catalog, whole: bool) -> list[str]:
    """Custom models that the training must not replace: all but single-style models, or all if `whole` is false."""
    made = [model for model in known if model.path is not None]
    return [model.name for model in made if not (whole and model.role == "style" and len(model.labels) == 1)]
