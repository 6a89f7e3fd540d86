"""Actions of `sightd faces`: each takes its arguments, the API (of a daemon, or of files in this process) and where to
print to, and returns the exit code."""

from __future__ import annotations

import argparse
import base64
import errno
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sightd.engines.files import read_regular, write_whole
from sightd.engines.text import local_time, printable
from sightd.plugins.api import ApiClient, ApiError, CommandContext
from sightd.plugins.face.gallery.enrol import MOST_BYTES
from sightd.plugins.face.gallery.file import GalleryError

_LONG = 600.0
"""Timeout in s of requests that may have to download a model first, or that take time for each face."""
_MOST_IMPORT, _MOST_EXPORT = 512 << 20, 1 << 30
_LONGEST_SOURCE = 200
"""Characters of a path that identify a photo in messages: its end says most."""
_MOST_PHOTOS, _MOST_QUERY = 100, 8000
"""Per request: maximum photos, and maximum characters of its query."""

Form = Mapping[str, Any]


class FaceClient:
    """The API's routes for one gallery."""

    def __init__(self, client: ApiClient, plugin: str | None) -> None:
        self._client = client
        self._query: dict[str, object] = {} if plugin is None else {"plugin": plugin}

    def get(self, path: str) -> Any:
        return self._client.json("GET", path, query=self._query, timeout=_LONG)

    def change(self, method: str, path: str, body: object = None, **query: object) -> Any:
        return self._client.json(method, path, query={**self._query, **query}, body=body, timeout=_LONG)

    def data(self, path: str) -> bytes:
        return self._client.request("GET", path, query=self._query, timeout=_LONG, most=_MOST_EXPORT).data


def enrol(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    photos = [(printable(path.name), _content(path, MOST_BYTES)) for path in args.photos]
    findings: list[Form] = []
    person: Form | None = None
    for batch in _batches(photos):
        found = _enrolled(faces, args.name, batch, anyway=args.anyway)
        findings += found["photos"]
        person = found.get("person", person)
    for finding in findings:
        context.print(f"{'+' if finding['taken'] else '-'} {finding['source']}: {finding['message']}")
    if all(finding["known"] for finding in findings):
        return 0
    if person is None:
        raise GalleryError(f"nobody was enrolled as {args.name}")
    context.print(f"{person['name']}: {_faces(person)}")
    return 0 if all(finding["taken"] or finding["known"] for finding in findings) else 1


def list_persons(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    persons = faces.get("/api/v1/faces")
    if args.json:
        return _json(persons, context)
    if not persons:
        context.print('nobody is enrolled; run `sightd faces add "NAME" PHOTO`')
        return 0
    context.print_table(
        ("NAME", "FACES", "SINCE"), ((one["name"], _faces(one), _day(one["added_at"])) for one in persons)
    )
    return 0


def show(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    person = faces.get(_person(args.name))
    if args.json:
        return _json(person, context)
    context.print(f"{person['name']}, since {_day(person['added_at'])}")
    rows = [
        (photo["source"], photo["model"], f"{photo['quality']:.2f}", "kept" if photo["crop"] else "-")
        for photo in person["photos"]
    ]
    context.print_table(("FACE", "MODEL", "QUALITY", "CROP"), rows)
    for one in person["seen"][:10]:
        context.print(
            f"seen by {one['camera']} {local_time(one['first_seen'])} - {local_time(one['last_seen'])}: {one['reason']}"
        )
    return 0


def remove(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    name = _known_as(args.name, faces)
    faces.change("DELETE", _person(args.name), wipe=False)
    context.print(f"removed {name}")
    return 0


def forget(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    name = _known_as(args.name, faces)
    faces.change("DELETE", _person(args.name))
    context.print(f"{name} was forgotten: no trace is left in the gallery files")
    return 0


def rename(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    person = faces.change("PATCH", _person(args.old), {"name": args.new})
    context.print(f"renamed {args.old} to {person['name']}")
    return 0


def merge(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    person = faces.change("POST", f"{_person(args.source)}/merge", {"into": args.into})
    context.print(f"{person['name']}: {_faces(person)}")
    return 0


def compare(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    one, other = (base64.b64encode(_content(path, MOST_BYTES)).decode() for path in (args.one, args.other))
    sources = {"source_a": _source(args.one)[-_LONGEST_SOURCE:], "source_b": _source(args.other)[-_LONGEST_SOURCE:]}
    pair = {"a": one, "b": other, **sources}
    found = faces.change("POST", "/api/v1/compare-faces", pair)
    if args.json:
        return _json(found, context)
    words = "the same person" if found["same"] else "not proven to be the same person"
    context.print(
        f"{found['similarity']:.2f} of {found['threshold']:.2f} required: {words}; "
        f"{_share(found['strangers'])} would be as similar"
    )
    return 0


def export_all(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    data = faces.data("/api/v1/export-faces")
    try:
        descriptor = os.open(args.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise GalleryError(f"{args.file}: {error.strerror}; name a new file in an existing folder") from error
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 — exactly the file that was just created
            file.write(data)
    except OSError as error:
        Path(args.file).unlink(missing_ok=True)
        raise GalleryError(f"{args.file}: {error.strerror}") from error
    context.print(f"{_counted(len(json.loads(data)['persons']), 'person')} in {args.file}, which is not encrypted")
    return 0


def import_all(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    found = faces.change("POST", "/api/v1/import-faces", _content(args.file, _MOST_IMPORT))
    context.print(f"{_counted(found['persons'], 'new person')}, {_counted(found['faces'], 'new face')}")
    return 0


def calibrate(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    found = faces.change("POST", "/api/v1/calibrate-faces", apply=args.apply)
    if args.json:
        return _json(found, context)
    pairs = f"{found['impostor_pairs']} pairs of different and {found['genuine_pairs']} of the same person"
    context.print(f"{_counted(found['persons'], 'person')}, {pairs}")
    context.print(
        f"thresholds {('are' if args.apply else 'would be')} shifted by {found['shift']:+.3f} from the built-in table"
    )
    if found["missed"] is not None:
        context.print(f"{found['missed']:.1%} of the same-person pairs are below the threshold")
    for one, other, cosine in found["alike"]:
        context.print(f"{one} and {other} look alike ({cosine:.2f}): the same person under two names?")
    for one, cosine in found["unlike"]:
        context.print(f"{one} has images that do not look alike ({cosine:.2f}): two different people?")
    if not args.apply:
        context.print("use --apply to apply this")
    return 0


def reembed(_args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    found = faces.change("POST", "/api/v1/reembed-faces")
    without = found["without_crop"]
    more = f"; {_counted(without, 'face')} without a crop: enrol again" if without else ""
    context.print(f"{_counted(found['taken'], 'face')} re-embedded by {found['model']}{more}")
    return 1 if without else 0


def list_unknown(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    persons = sorted(faces.get("/api/v1/unknown-faces"), key=lambda one: -one["last_seen"])
    if args.json:
        return _json(persons, context)
    if not persons:
        context.print("no unknown people were seen")
        return 0
    rows = [
        (str(one["id"]), str(one["visits"]), local_time(one["first_seen"]), local_time(one["last_seen"]))
        for one in persons
    ]
    context.print_table(("ID", "VISITS", "FIRST SEEN", "LAST SEEN"), rows)
    return 0


def nearest_unknown(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    found = faces.get(f"/api/v1/unknown-faces/{args.number}/nearest")
    if args.json:
        return _json(found, context)
    if not found:
        context.print("no other unknown people were seen")
        return 0
    rows = [
        (str(one["id"]), f"{one['similarity']:.3f}", f"{one['strangers']:.1g}", str(one["visits"]),
         local_time(one["first_seen"]), local_time(one["last_seen"]))
        for one in found
    ]  # fmt: skip
    context.print_table(("ID", "SIMILARITY", "STRANGERS", "VISITS", "FIRST SEEN", "LAST SEEN"), rows)
    return 0


def name_unknown(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    named = {"name": args.name}
    person = faces.change("POST", f"/api/v1/unknown-faces/{args.number}/name", named, anyway=args.anyway)
    context.print(f"{person['name']}: {_faces(person)}")
    return 0


def forget_unknown(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    which = {"all": True} if args.all else {"id": args.numbers}
    context.print(f"forgot {faces.change('DELETE', '/api/v1/unknown-faces', **which)['forgotten']}")
    return 0


def unknown_picture(args: argparse.Namespace, faces: FaceClient, context: CommandContext) -> int:
    if args.file.suffix.lower() != ".png":
        raise GalleryError(f"{_source(args.file)}: must be a .png file")
    data = faces.data(f"/api/v1/unknown-faces/{args.number}.png")
    try:
        write_whole(args.file, data)
    except OSError as error:
        raise GalleryError(f"{_source(args.file)}: {error.strerror}") from error
    return 0


def _enrolled(faces: FaceClient, name: str, photos: Sequence[tuple[str, bytes]], *, anyway: bool) -> Form:
    """Enrols photos in one request, so that they are judged together. Returns the findings even if no photo was
    accepted."""
    query = {"source": [source for source, _ in photos], "size": [len(data) for _, data in photos], "anyway": anyway}
    try:
        found: Form = faces.change("POST", f"{_person(name)}/photos", b"".join(data for _, data in photos), **query)
    except ApiError as error:
        if "photos" not in error.body:
            raise
        return error.body
    return found


def _batches(photos: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """Yields batches of photos, each as many as one request accepts."""
    batch: list[tuple[str, bytes]] = []
    for photo in photos:
        more = [*batch, photo]
        names, size = sum(len(_segment(source)) + 40 for source, _ in more), sum(len(data) for _, data in more)
        if batch and (len(more) > _MOST_PHOTOS or size > MOST_BYTES or names > _MOST_QUERY):
            yield batch
            more = [photo]
        batch = more
    yield batch


def _content(path: Path, most: int) -> bytes:
    """Returns the content of a file to send. Raises GalleryError if it cannot be read, is empty, or is larger than the
    API accepts."""
    try:
        data = read_regular(path, most)
    except OSError as error:
        smaller = ": reduce its size" if error.errno == errno.EFBIG else ""
        raise GalleryError(f"{_source(path)} cannot be read: {error.strerror}{smaller}") from error
    if not data:
        raise GalleryError(f"{_source(path)} is empty")
    return data


def _source(path: Path) -> str:
    return printable(str(path))


def _person(name: str) -> str:
    if "/" in name or not name.strip() or name in (".", ".."):
        raise GalleryError(f"{name!r} is not a valid name: it must not be empty or contain /")
    return f"/api/v1/faces/{_segment(name)}"


def _known_as(name: str, faces: FaceClient) -> str:
    """Returns a person's name as enrolled, or `name` itself if nobody has it."""
    try:
        return str(faces.get(_person(name))["name"])
    except ApiError as error:  # the next request reports that; traces of somebody gone may still have to be wiped
        if error.status != 404:
            raise
        return name


def _faces(person: Form) -> str:
    here = person["usable"]
    others = sum(person["faces"].values()) - here
    told = _counted(here, "face")
    return told if not others else f"{told} ({others} of other models: run `sightd faces see-again`)"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _share(rate: float) -> str:
    return f"{rate:.0%} of strangers" if rate > 0.01 else f"one in {round(1 / rate):,} strangers"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _json(value: object, context: CommandContext) -> int:
    context.print_json(value)
    return 0


def _segment(text: str) -> str:
    """Escapes a text as one segment of a path."""
    return quote(text, safe="")


READING = frozenset({list_persons, show, compare, export_all, list_unknown, nearest_unknown, unknown_picture})
"""Actions that change nothing in a gallery."""
