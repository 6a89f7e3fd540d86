"""`sightd cameras`: finds cameras in the network, tries their addresses, and moves them."""

from __future__ import annotations

import argparse
import base64
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sightd.daemon.cli.arguments import SubParsers, number
from sightd.daemon.cli.output import exit_code_of, output, print_table
from sightd.daemon.control.client import Client, ControlError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, find
from sightd.engines.files import Replacement
from sightd.engines.text import json_text
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options

_EPILOG = f"""\
examples:
  sightd cameras discover                   ONVIF cameras in the network
  sightd cameras probe 10.0.0.7 --user admin --password-file camera.pw
                                            what an ONVIF camera offers: its profiles and their addresses
  sightd cameras probe rtsp://10.0.0.7/stream1 --user admin --password-file camera.pw --picture seen.jpg
                                            a picture, codec, size and rate of a stream, or why there is none
  sightd cameras ptz gate                   where a camera looks, and its presets
  sightd cameras ptz gate move --pan 0.5 --seconds 2
  sightd cameras ptz gate preset Driveway

discover and probe run in the daemon if one runs, otherwise in this process. They need the role admin; moves need the
role operate, and changes of presets and of the home position the role admin.

{WHICH_DAEMON}
The exit code is 0 on success, 1 if nothing was found, an address cannot be used or a camera refuses, 2 for wrong usage,
3 if the daemon does not answer.
"""
_PATIENCE = 40.0
_MOST_PASSWORD = 1024

Form = Mapping[str, Any]


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "cameras",
        help="find cameras in the network, try their addresses, and move them",
        description="Finds cameras in the network, tries their addresses, and moves them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_discover(actions)
    _add_probe(actions)
    _add_ptz(actions)


def _add_discover(actions: SubParsers) -> None:
    parser = actions.add_parser("discover", help="find ONVIF cameras", description="Finds ONVIF cameras.")
    seconds = number(float, lambda value: 0.5 <= value <= 10, "seconds from 0.5 to 10")
    parser.add_argument("--seconds", type=seconds, default=3.0, metavar="S", help="how long to wait (default: 3)")
    parser.add_argument(
        "--interface", action="append", default=[], metavar="NAME", help="ask only there; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_daemon_options(parser)
    parser.set_defaults(run=lambda args: _run(args, _discover))


def _add_probe(actions: SubParsers) -> None:
    parser = actions.add_parser("probe", help="try an address", description="Tries the address of a camera.")
    parser.add_argument(
        "address", metavar="ADDRESS", help="a stream's URL, or host, HOST:PORT or URL of an ONVIF device"
    )
    parser.add_argument("--user", default="", metavar="NAME", help="user name of the camera")
    parser.add_argument("--password-file", metavar="FILE", help="file with the password; - for standard input")
    parser.add_argument("--kind", choices=("stream", "onvif"), help="by default by the address")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp", help="RTSP transport (default: tcp)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="save the picture as JPEG")
    parser.add_argument("--json", action="store_true", help="print JSON, without the picture")
    add_daemon_options(parser)
    parser.set_defaults(run=lambda args: _run(args, _probe))


def _add_ptz(actions: SubParsers) -> None:
    parser = actions.add_parser("ptz", help="move a camera", description="Shows where a camera looks, or moves it.")
    parser.add_argument("camera", metavar="CAMERA")
    add_daemon_options(parser)
    parser.set_defaults(run=lambda args: _run(args, _ptz), move=None)
    moves = parser.add_subparsers(dest="move", metavar="MOVE")
    move = moves.add_parser("move", help="move with a speed", description="Moves with a speed, and stops.")
    speed = number(float, lambda value: -1 <= value <= 1, "a speed from -1 to 1")
    for axis, what in (("pan", "to the right"), ("tilt", "up"), ("zoom", "in")):
        move.add_argument(f"--{axis}", type=speed, default=0.0, metavar="SPEED", help=f"{what}, from -1 to 1")
    seconds = number(float, lambda value: 0 < value <= 10, "seconds, at most 10")
    move.add_argument("--seconds", type=seconds, default=1.0, metavar="S", help="when to stop (default: 1)")
    for name, what in (
        ("stop", "stop"),
        ("home", "move to the home position"),
        ("set-home", "make the current position the home position"),
    ):
        moves.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    for name, what in (
        ("preset", "move to a preset"),
        ("add-preset", "store the current position as a preset"),
        ("remove-preset", "remove a preset"),
    ):
        preset = moves.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        preset.add_argument("preset", metavar="PRESET", help="its name" + ("" if name == "add-preset" else " or token"))


def _run(args: argparse.Namespace, action: Callable[[argparse.Namespace], int | None]) -> int:
    codes = {UsageError: 2, NoDaemonError: 3, ControlError: 1, ApiError: 1, OSError: 1}
    return exit_code_of(lambda: action(args), codes)


def _discover(args: argparse.Namespace) -> int:
    found = _found(args)
    if args.json:
        print(json_text(found, indent=2))
    elif found:
        titles = ("HOST", "NAME", "HARDWARE", "CAMERA", "ADDRESS")
        keys = ("host", "name", "hardware", "camera", "address")
        print_table(titles, [tuple(one[key] or "-" for key in keys) for one in found], output())
    else:
        print("no ONVIF camera answered: is ONVIF discovery on, and is this machine in the cameras' network?")
    return 0 if found else 1


def _found(args: argparse.Namespace) -> list[Form]:
    client = find(DaemonSelection.of(args), os.environ)
    if client is not None:
        body = {"seconds": args.seconds, "interfaces": args.interface}
        forms: list[Form] = client.json("POST", "/api/v1/discovery", body=body, timeout=_PATIENCE)
        return forms
    from sightd.daemon.onvif.discovery import NoInterfaceError, discover
    from sightd.daemon.onvif.finder import found_for_json

    try:
        return [found_for_json(device, None) for device in discover(args.seconds, args.interface)]
    except NoInterfaceError as error:
        raise UsageError(str(error)) from None


def _probe(args: argparse.Namespace) -> int:
    form = dict(_tried(args, _password(args.password_file)))
    picture = base64.b64decode(form.pop("picture", ""))
    if picture and args.picture is not None:
        new = Replacement(args.picture)
        new.write_all(picture)
        new.commit()
    if args.json:
        print(json_text(form, indent=2))
    elif not form["ok"]:
        print(f"sightd: {form['words']}: {form['error']}", file=sys.stderr)
    elif form["kind"] == "onvif":
        _print_device(form)
    else:
        _print_stream(form)
    return 0 if form["ok"] else 1


def _tried(args: argparse.Namespace, password: str) -> Form:
    client = find(DaemonSelection.of(args), os.environ)
    if client is not None:
        body = {"address": args.address, "username": args.user, "password": password, "kind": args.kind,
                "transport": args.transport}  # fmt: skip
        form: Form = client.json("POST", "/api/v1/cameras/probe", body=body, timeout=_PATIENCE)
        return form
    from sightd.daemon.onvif.finder import Login, attempt

    return attempt(args.address, Login(args.user, password), args.kind, args.transport)


def _password(file: str | None) -> str:
    if file is None:
        return ""
    if file == "-":
        return sys.stdin.readline(_MOST_PASSWORD).rstrip("\r\n")
    with Path(file).open(encoding="utf-8") as opened:
        return opened.readline(_MOST_PASSWORD).rstrip("\r\n")


def _print_device(form: Form) -> None:
    print(f"{form['manufacturer']} {form['model']}, firmware {form['firmware']}")
    if abs(form["clock_offset"]) > 1:
        print(f"its clock differs by {form['clock_offset']:.0f} s")
    titles = ("PROFILE", "CODEC", "SIZE", "FPS", "MOVES", "STREAM")
    print_table(titles, map(_profile_row, form["profiles"]), output())


def _profile_row(one: Form) -> tuple[str, ...]:
    size = f"{one['width']}x{one['height']}" if one["width"] else "-"
    fps = "-" if one["fps"] is None else f"{one['fps']:g}"
    return one["name"], one["codec"], size, fps, "yes" if one["ptz"] else "-", one["address"] or one["error"]


def _print_stream(form: Form) -> None:
    fps = "" if form["fps"] is None else f", {form['fps']:g} frames per second"
    print(f"{form['codec'] or 'video'} {form['width']}x{form['height']}{fps}")
    if form["key_frame_interval"] is not None:
        print(f"a key frame every {form['key_frame_interval']:g} s")
    if (audio := form["audio"]) is not None:
        print(f"sound: {audio['codec']}, {audio['rate']} Hz")


def _ptz(args: argparse.Namespace) -> None:
    client = find(DaemonSelection.of(args), os.environ)
    if client is None:
        raise NoDaemonError("cameras are moved by the daemon, and none is running")
    base = f"/api/v1/cameras/{quote(args.camera, safe='')}/ptz"
    if args.move is None:
        _print_state(client.json("GET", base, timeout=_PATIENCE))
        return
    method, path, body = _command(args, client, base)
    client.json(method, f"{base}/{path}", body=body, timeout=_PATIENCE)


def _command(args: argparse.Namespace, client: Client, base: str) -> tuple[str, str, object]:
    """Returns method, path and body of the request for a move."""
    match args.move:
        case "move":
            return "POST", "move", {key: getattr(args, key) for key in ("pan", "tilt", "zoom", "seconds")}
        case "set-home":
            return "PUT", "home", None
        case "add-preset":
            return "POST", "presets", {"name": args.preset}
        case "preset":
            return "POST", "preset", {"preset": _token(args.preset, client, base)}
        case "remove-preset":
            return "DELETE", f"presets/{quote(_token(args.preset, client, base), safe='')}", None
        case _:
            return "POST", args.move, None


def _token(wanted: str, client: Client, base: str) -> str:
    presets = client.json("GET", base, timeout=_PATIENCE)["presets"]
    for key in ("name", "token"):
        for one in presets:
            if one[key] == wanted:
                return str(one["token"])
    raise UsageError(f"there is no preset {wanted!r}; there are: {', '.join(one['name'] for one in presets) or 'none'}")


def _print_state(state: Form) -> None:
    supported, position = state["supported"], state["position"]
    print(
        f"moves: pan and tilt {', '.join(supported['pan_tilt']) or 'no'}; zoom {', '.join(supported['zoom']) or 'no'}"
    )
    if position is not None:
        known = [f"{key} {value:.2f}" for key, value in position.items() if value is not None]
        print(f"position: {', '.join(known)}{', moving' if state['moving'] else ''}")
    if state["following"]["enabled"]:
        track = state["following"]["track"]
        print("follows nothing now" if track is None else f"follows track {track}")
    print_table(("PRESET", "NAME"), [(one["token"], one["name"]) for one in state["presets"]], output())
