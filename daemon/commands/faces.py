"""`sightd faces`: the persons whom the face plug-in knows."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands import SubParsers

if TYPE_CHECKING:
    from daemon.faces.desk import FaceDesk
    from plugins.face.config import FaceConfig

_EXAMPLES = """examples:
  sightd faces add "Ada Lovelace" ada.jpg                 one photograph suffices, several are better
  sightd faces list
  sightd faces compare a.jpg b.jpg                        are these the same person?
  sightd faces unknown list                               who came by and was not known?
  sightd faces unknown name 7 "Grace Hopper"
  sightd faces forget "Ada Lovelace"                      removes her for good, from every file
  sightd faces calibrate                                  what your own gallery says of the thresholds
  sightd faces list -c config/sightd.yaml                 the gallery that this configuration names

A daemon that runs takes changes within a second. Photographs show one person, in daylight, looking into the camera.

The exit code is 0 where all went well, 1 where something was refused or failed, 2 for wrong usage or a faulty
configuration, 3 where a network cannot be had.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "faces",
        help="enrol, list, rename, forget persons",
        description="Looks after the gallery: the persons whom the face plug-in knows.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-c", "--config", type=Path, metavar="FILE", help="take the gallery that a configuration names")
    common.add_argument("--plugin", metavar="NAME", help="which face plug-in of the configuration, if it has several")
    common.add_argument("--gallery", type=Path, metavar="FILE", help="the gallery's file (default: among the state)")
    common.add_argument("--key-file", type=Path, metavar="FILE", help="file with the key of an encrypted gallery")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="for programs")

    _add_persons(actions, common, as_json)
    _add_gallery(actions, common, as_json)
    _add_unknown(actions, common, as_json)
    parser.set_defaults(run=run)


def _add_persons(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from daemon.faces import actions as do

    action = actions.add_parser("add", parents=[common], help="enrol a person from photographs")
    action.add_argument("name", metavar="NAME")
    action.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    action.add_argument("--anyway", action="store_true", help="also take what does not look like the person's others")
    action.set_defaults(do=do.enrol)
    actions.add_parser("list", parents=[common, as_json], help="all persons").set_defaults(do=do.list_persons)
    for name, summary, work in (
        ("show", "a person's faces, and when they were seen", do.show),
        ("remove", "remove a person", do.remove),
        ("forget", "remove a person for good, and wipe the place", do.forget),
    ):
        action = actions.add_parser(name, parents=[common, as_json] if name == "show" else [common], help=summary)
        action.add_argument("name", metavar="NAME")
        action.set_defaults(do=work)
    action = actions.add_parser("rename", parents=[common], help="give a person another name")
    action.add_argument("old", metavar="OLD")
    action.add_argument("new", metavar="NEW")
    action.set_defaults(do=do.rename)
    action = actions.add_parser("merge", parents=[common], help="two names are one person: the second one stays")
    action.add_argument("source", metavar="FROM")
    action.add_argument("into", metavar="INTO")
    action.set_defaults(do=do.merge)


def _add_gallery(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from daemon.faces import actions as do

    action = actions.add_parser("compare", parents=[common, as_json], help="whether two photographs show one person")
    action.add_argument("one", type=Path, metavar="A")
    action.add_argument("other", type=Path, metavar="B")
    action.set_defaults(do=do.compare)
    for name, summary, work in (
        ("export", "write all persons into a file, unencrypted", do.export_all),
        ("import", "add the persons of an exported file", do.import_all),
    ):
        action = actions.add_parser(name, parents=[common], help=summary)
        action.add_argument("file", type=Path, metavar="FILE")
        action.set_defaults(do=work)
    action = actions.add_parser("calibrate", parents=[common, as_json], help="fit the thresholds to your own gallery")
    action.add_argument("--apply", action="store_true", help="use what was found from now on")
    action.set_defaults(do=do.calibrate)
    actions.add_parser(
        "see-again", parents=[common], help="embed kept faces by another network, after `recogniser` was changed"
    ).set_defaults(do=do.see_again)


def _add_unknown(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from daemon.faces import actions as do

    unknown = actions.add_parser("unknown", help="persons who came by and were not known")
    choices = unknown.add_subparsers(dest="choice", metavar="CHOICE", required=True)
    choices.add_parser("list", parents=[common, as_json], help="all, the last seen first").set_defaults(
        do=do.list_unknown
    )
    action = choices.add_parser("name", parents=[common], help="enrol one of them")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("name", metavar="NAME")
    action.add_argument("--anyway", action="store_true", help="also one who looks like somebody of another name")
    action.set_defaults(do=do.name_unknown)
    action = choices.add_parser("forget", parents=[common], help="remove some of them, or all")
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("numbers", nargs="*", type=int, default=[], metavar="ID")
    which.add_argument("--all", action="store_true")
    action.set_defaults(do=do.forget_unknown)
    action = choices.add_parser("picture", parents=[common], help="write the best look at one into a PNG file")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=do.unknown_picture)


def run(args: argparse.Namespace) -> int:
    """Does the action on the gallery."""
    from daemon.config.problems import ConfigError
    from engines.errors import EngineError
    from plugins.face.gallery.errors import GalleryError

    try:
        desk = _desk(args)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except GalleryError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 1
    try:
        code: int = args.do(args, desk)
    except GalleryError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 1
    except EngineError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 3
    finally:
        desk.close()
    return code


def _desk(args: argparse.Namespace) -> FaceDesk:
    from pydantic import SecretStr

    from daemon.config.installed import installed_plugins
    from daemon.config.load import load, load_text
    from daemon.faces.opening import key_in, open_desk
    from daemon.networks import engine_loading
    from daemon.progress import ProgressBar

    plugins = installed_plugins()
    if args.config is None:
        loaded = load_text(
            "plugins: {face: {}}", Path("(command line)"), environ=os.environ, plugins=plugins, cameras=False
        )
    else:
        loaded = load(args.config, environ=os.environ, plugins=plugins, cameras=False)
    config = _face_config(loaded.plugin_configs, args.plugin)
    changed = {
        "gallery": args.gallery,
        "key": None if args.key_file is None else SecretStr(key_in(args.key_file) or ""),
    }
    config = config.model_copy(update={name: value for name, value in changed.items() if value is not None})
    loading = engine_loading(loaded.config.models, loaded.config.engines, ProgressBar())
    return open_desk(config, loading, os.environ)


def _face_config(configs: object, name: str | None) -> FaceConfig:
    from plugins.face.config import FaceConfig
    from plugins.face.gallery.errors import GalleryError

    assert isinstance(configs, dict)
    faces = {key: config for key, config in configs.items() if isinstance(config, FaceConfig)}
    if name is not None and name not in faces:
        raise GalleryError(f"the configuration has no face plug-in {name!r}, but: {', '.join(faces) or 'none'}")
    if not faces:
        raise GalleryError("the configuration has no face plug-in: leave -c out, or name the gallery with --gallery")
    if name is None and len({config.gallery for config in faces.values()}) > 1:
        raise GalleryError(f"the configuration has several galleries: choose with --plugin {' | '.join(faces)}")
    return faces[name] if name is not None else next(iter(faces.values()))
