"""`sightd style`: the styles that a picture can be painted in."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from daemon.commands import SubParsers

_EXAMPLES = """examples:
  sightd style list
  sightd style sheet photo.jpg --out styles.jpg      the photograph in every style, with the names
"""

_SUFFIXES = (".jpg", ".jpeg", ".png")


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "style",
        help="list styles, and show a picture in each",
        description="Shows the styles of the style plug-in.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the names of all styles").set_defaults(do=_list)
    sheet = actions.add_parser("sheet", help="a contact sheet: one photograph in every style")
    sheet.add_argument("photo", type=Path, metavar="PHOTO")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .jpg or .png file")
    sheet.add_argument("--side", type=int, default=200, metavar="PIXELS", help="of each picture (default: 200)")
    sheet.set_defaults(do=_sheet)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 done, 1 where a file cannot be read or written, 3 where the network cannot be had."""
    code: int = args.do(args)
    return code


def _list(args: argparse.Namespace) -> int:
    from plugins.style.names import STYLES

    for name in STYLES:
        print(name)
    return 0


def _sheet(args: argparse.Namespace) -> int:
    import cv2

    from daemon.analyze.media import MediaError, read_picture
    from daemon.config.model import Engines, Models
    from daemon.networks import engine_loading
    from daemon.pipeline.host import PluginContext
    from daemon.progress import ProgressBar
    from daemon.style_sheet import contact_sheet
    from engines.errors import EngineError
    from plugins.style.config import StyleConfig

    if args.out.suffix.lower() not in _SUFFIXES or not args.out.absolute().parent.is_dir():
        print(f"sightd: {args.out}: name a .jpg or .png file in a folder that is there", file=sys.stderr)
        return 1
    try:
        picture = read_picture(args.photo)
        with ProgressBar() as progress:
            load = engine_loading(Models(), Engines(), progress)
            context = PluginContext("style", len(os.sched_getaffinity(0)), load, StyleConfig(), [])
            sheet = contact_sheet(picture, args.side, context)
    except MediaError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 1
    except EngineError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 3
    try:
        args.out.write_bytes(cv2.imencode(args.out.suffix, sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
    except OSError as error:
        print(f"sightd: {args.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(args.out)
    return 0
