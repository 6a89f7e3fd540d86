"""`sightd faces`: manages the people known to the face plug-in."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sightd.plugins.api import WHICH_DAEMON, ApiClient, Command, CommandContext, UsageError, add_daemon_options

if TYPE_CHECKING:
    from sightd.plugins.face.config import FaceConfig

    SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_MOST_KEY = 64 * 1024
"""Maximum bytes of a key file."""

_EXAMPLES = f"""examples:
  sightd faces add "Ada Lovelace" ada.jpg                 one photograph suffices, several are better
  sightd faces list
  sightd faces compare a.jpg b.jpg                        are these the same person?
  sightd faces unknown list                               who came by and was not known?
  sightd faces unknown nearest 7                          was she here before?
  sightd faces unknown name 7 "Grace Hopper"
  sightd faces forget "Ada Lovelace"                      removes her for good, from every file
  sightd faces calibrate                                  what your own gallery says of the thresholds
  sightd faces list -c config/sightd.yaml                 of the daemon that runs this configuration
  sightd faces list --url https://box:8080 --token-file box.token

The daemon that runs does the work, and knows a new person at once. If none runs, the files are changed that its
configuration (with the service installed: the service) would use, and the command says which. Photographs show one
person, in daylight, looking into the camera.

{WHICH_DAEMON}
The exit code is 0 if all went well, 1 if something was refused or failed, 2 for wrong usage or a faulty configuration,
3 if a model is not available, or the daemon named by --url or --socket does not answer.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = "Manages the gallery: the people that the face plug-in recognises."
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    add_daemon_options(common)
    common.add_argument("--plugin", metavar="NAME", help="name of the face plug-in, if the configuration has several")
    common.add_argument("--gallery", type=Path, metavar="FILE", help="use this gallery file instead of a daemon")
    common.add_argument("--key-file", type=Path, metavar="FILE", help="file with the key of an encrypted gallery")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    _add_persons(actions, common, as_json)
    _add_gallery(actions, common, as_json)
    _add_unknown(actions, common, as_json)


def _add_persons(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.plugins.face import actions as do

    action = actions.add_parser("add", parents=[common], help="enrol a person from photographs")
    action.add_argument("name", metavar="NAME")
    action.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    action.add_argument(
        "--anyway", action="store_true", help="also accept photos that do not look like the person's other photos"
    )
    action.set_defaults(do=do.enrol)
    actions.add_parser("list", parents=[common, as_json], help="list all people").set_defaults(do=do.list_persons)
    for name, summary, work in (
        ("show", "show a person's faces and sightings", do.show),
        ("remove", "remove a person", do.remove),
        ("forget", "remove a person and erase their data from the files", do.forget),
    ):
        action = actions.add_parser(name, parents=[common, as_json] if name == "show" else [common], help=summary)
        action.add_argument("name", metavar="NAME")
        action.set_defaults(do=work)
    action = actions.add_parser("rename", parents=[common], help="rename a person")
    action.add_argument("old", metavar="OLD")
    action.add_argument("new", metavar="NEW")
    action.set_defaults(do=do.rename)
    action = actions.add_parser("merge", parents=[common], help="merge FROM into INTO, which keeps its name")
    action.add_argument("source", metavar="FROM")
    action.add_argument("into", metavar="INTO")
    action.set_defaults(do=do.merge)


def _add_gallery(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.plugins.face import actions as do

    action = actions.add_parser(
        "compare", parents=[common, as_json], help="check whether two photos show the same person"
    )
    action.add_argument("one", type=Path, metavar="A")
    action.add_argument("other", type=Path, metavar="B")
    action.set_defaults(do=do.compare)
    for name, summary, work in (
        ("export", "export all people to a file, unencrypted", do.export_all),
        ("import", "import people from an exported file", do.import_all),
    ):
        action = actions.add_parser(name, parents=[common], help=summary)
        action.add_argument("file", type=Path, metavar="FILE")
        action.set_defaults(do=work)
    action = actions.add_parser("calibrate", parents=[common, as_json], help="fit the thresholds to your own gallery")
    action.add_argument("--apply", action="store_true", help="use the result from now on")
    action.set_defaults(do=do.calibrate)
    actions.add_parser(
        "see-again", parents=[common], help="recompute embeddings of kept faces after `recogniser` changed"
    ).set_defaults(do=do.reembed)


def _add_unknown(actions: SubParsers, common: argparse.ArgumentParser, as_json: argparse.ArgumentParser) -> None:
    from sightd.plugins.face import actions as do

    unknown = actions.add_parser("unknown", help="people who were seen and not recognised")
    choices = unknown.add_subparsers(dest="choice", metavar="CHOICE", required=True)
    choices.add_parser("list", parents=[common, as_json], help="list them, most recently seen first").set_defaults(
        do=do.list_unknown
    )
    action = choices.add_parser(
        "nearest", parents=[common, as_json], help="list who looks most like one of them: perhaps the same person"
    )
    action.add_argument("number", type=int, metavar="ID")
    action.set_defaults(do=do.nearest_unknown)
    action = choices.add_parser("name", parents=[common], help="enrol one of them")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("name", metavar="NAME")
    action.add_argument("--anyway", action="store_true", help="even if the face looks like a person with another name")
    action.set_defaults(do=do.name_unknown)
    action = choices.add_parser("forget", parents=[common], help="remove some of them, or all")
    which = action.add_mutually_exclusive_group(required=True)
    which.add_argument("numbers", nargs="*", type=int, default=[], metavar="ID")
    which.add_argument("--all", action="store_true")
    action.set_defaults(do=do.forget_unknown)
    action = choices.add_parser("picture", parents=[common], help="save the best image of one as a PNG file")
    action.add_argument("number", type=int, metavar="ID")
    action.add_argument("file", type=Path, metavar="FILE")
    action.set_defaults(do=do.unknown_picture)


def run(args: argparse.Namespace, context: CommandContext) -> int:
    """Runs the action on the gallery."""
    from sightd.plugins.face.actions import FaceClient

    with _api(args, context) as client:
        code: int = args.do(args, FaceClient(client, args.plugin), context)
    return code


def _api(args: argparse.Namespace, context: CommandContext) -> AbstractContextManager[ApiClient]:
    """Returns the API of the selected daemon, or of the gallery file if one is given or no daemon is running."""
    from pydantic import SecretStr

    from sightd.plugins.api import Mode
    from sightd.plugins.face.actions import READING

    mode = Mode.READ if args.do in READING else Mode.WRITE
    choose = partial(_chosen, name=args.plugin)
    if args.gallery is None and args.key_file is None:
        return context.api("face", mode, choose=choose)
    if args.url or args.socket:
        raise UsageError("--gallery and --key-file name a file, --url and --socket a daemon: give one of them")
    config = choose(context.configs("face", configured=args.gallery is None or args.config is not None))
    changed: dict[str, object] = {} if args.gallery is None else {"gallery": args.gallery}
    if args.key_file is not None:
        changed["key"] = SecretStr(_key_in(args.key_file))
    return context.files("face", config.model_copy(update=changed), mode)


def _chosen(configs: Mapping[str, FaceConfig], name: str | None) -> FaceConfig:
    from sightd.plugins.face.gallery.file import GalleryError

    if name is not None and name not in configs:
        raise GalleryError(f"the configuration has no face plug-in {name!r}, only: {', '.join(configs) or 'none'}")
    if not configs:
        raise GalleryError("the configuration has no face plug-in: leave -c out, or name the gallery with --gallery")
    if name is None and len({config.gallery for config in configs.values()}) > 1:
        raise GalleryError(f"the configuration has several galleries: choose with --plugin {' | '.join(configs)}")
    return configs[name] if name is not None else next(iter(configs.values()))


def _key_in(file: Path) -> str:
    """Returns the key in a file. Raises GalleryError if it cannot be read or is empty."""
    from sightd.engines.files import read_regular
    from sightd.plugins.face.gallery.file import GalleryError

    try:
        key = read_regular(file, _MOST_KEY).decode().strip()
    except OSError as error:
        raise GalleryError(f"key file {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise GalleryError(f"key file {file} is not UTF-8 text") from None
    if not key:
        raise GalleryError(f"key file {file} is empty")
    return key


COMMAND = Command("enrol, list, rename and remove people", add, run)
