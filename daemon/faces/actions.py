"""What `sightd faces` does: each action takes its arguments and the desk, speaks on standard output, and gives the exit
code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2

from daemon.faces.desk import FaceDesk
from plugins.face.gallery.enrol import Photo
from plugins.face.gallery.errors import GalleryError
from plugins.face.gallery.exchange import exported, imported
from plugins.face.gallery.gallery import Person
from plugins.face.gallery.photos import read_photo


def enrol(args: argparse.Namespace, desk: FaceDesk) -> int:
    photos = [Photo(path.name, read_photo(path)) for path in args.photos]
    enrolment = desk.enrol(args.name, photos, anyway=args.anyway)
    for finding in enrolment.findings:
        _say(f"{'+' if finding.taken else '-'} {finding.photo}: {finding.message}")
    if all(finding.known for finding in enrolment.findings):
        return 0
    if enrolment.person is None:
        print(f"sightd: nothing was enrolled as {args.name}", file=sys.stderr)
        return 1
    _say(f"{enrolment.person.name}: {_faces(enrolment.person, desk)}")
    return 0 if all(finding.taken or finding.known for finding in enrolment.findings) else 1


def list_persons(args: argparse.Namespace, desk: FaceDesk) -> int:
    persons = desk.gallery.persons()
    if args.json:
        _say(json.dumps([_person(one) for one in persons], ensure_ascii=False))
        return 0
    if not persons:
        _say('nobody is enrolled: `sightd faces add "NAME" PHOTO` enrols somebody')
        return 0
    _table([("NAME", "FACES", "SINCE"), *((one.name, _faces(one, desk), _day(one.added_at)) for one in persons)])
    return 0


def show(args: argparse.Namespace, desk: FaceDesk) -> int:
    person = desk.gallery.person(args.name)
    faces = desk.gallery.faces(person)
    seen = [one for one in desk.sightings.latest(1000) if one.person == person.id][:10]
    if args.json:
        told = _person(person) | {
            "faces": [
                {
                    "model": face.model,
                    "quality": round(face.quality, 3),
                    "source": face.source,
                    "crop": face.crop is not None,
                }
                for face in faces
            ],
            "seen": [
                {"camera": one.camera, "first_seen": one.first_seen, "last_seen": one.last_seen,
                 "similarity": one.similarity, "margin": one.margin, "reason": one.reason}
                for one in seen
            ],
        }  # fmt: skip
        _say(json.dumps(told, ensure_ascii=False))
        return 0
    _say(f"{person.name}, since {_day(person.added_at)}")
    _table([
        ("FACE", "NETWORK", "QUALITY", "CROP"),
        *((face.source, face.model, f"{face.quality:.2f}", "kept" if face.crop is not None else "-") for face in faces),
    ])  # fmt: skip
    for one in seen:
        _say(f"seen by {one.camera} {_moment(one.first_seen)} - {_moment(one.last_seen)}: {one.reason}")
    return 0


def remove(args: argparse.Namespace, desk: FaceDesk) -> int:
    _say(f"removed {desk.gallery.remove(args.name).name}")
    return 0


def forget(args: argparse.Namespace, desk: FaceDesk) -> int:
    _say(
        f"forgot {desk.gallery.forget(args.name).name}: nothing of them is left in {desk.gallery.database.path.parent}"
    )
    return 0


def rename(args: argparse.Namespace, desk: FaceDesk) -> int:
    _say(f"{args.old} is {desk.gallery.rename(args.old, args.new).name} now")
    return 0


def merge(args: argparse.Namespace, desk: FaceDesk) -> int:
    person = desk.gallery.merge(args.source, args.into)
    _say(f"{person.name}: {_faces(person, desk)}")
    return 0


def compare(args: argparse.Namespace, desk: FaceDesk) -> int:
    one, other = (Photo(str(path), read_photo(path)) for path in (args.one, args.other))
    found = desk.compare(one, other)
    if args.json:
        _say(json.dumps({
            "similarity": round(found.similarity, 5), "threshold": round(found.threshold, 5), "same": found.same,
            "strangers": found.strangers,
        }))  # fmt: skip
        return 0
    words = "the same person" if found.same else "not shown to be the same person"
    _say(f"{found.similarity:.2f}, {found.threshold:.2f} is asked: {words}; {_share(found.strangers)} are as alike")
    return 0


def export_all(args: argparse.Namespace, desk: FaceDesk) -> int:
    text = exported(desk.gallery)
    try:
        with open(os.open(args.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    except OSError as error:
        raise GalleryError(f"{args.file}: {error.strerror}: name a file that is not there yet") from error
    _say(f"{len(desk.gallery.persons())} persons in {args.file}, readable to whoever has that file")
    return 0


def import_all(args: argparse.Namespace, desk: FaceDesk) -> int:
    path: Path = args.file
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GalleryError(f"{path} cannot be read: {error}") from error
    persons, faces = imported(desk.gallery, text)
    _say(f"{persons} new persons, {faces} new faces")
    return 0


def calibrate(args: argparse.Namespace, desk: FaceDesk) -> int:
    found = desk.refine(apply=args.apply)
    names = {person.id: person.name for person in desk.gallery.persons()}
    if args.json:
        _say(json.dumps({
            "persons": found.persons, "impostor_pairs": found.impostor_pairs, "genuine_pairs": found.genuine_pairs,
            "shift": round(found.shift, 4), "missed": found.missed, "applied": args.apply,
            "alike": [[names[one], names[other], round(cosine, 3)] for one, other, cosine in found.alike],
            "unlike": [[names[one], round(cosine, 3)] for one, cosine in found.unlike],
        }, ensure_ascii=False))  # fmt: skip
        return 0
    pairs = f"{found.impostor_pairs} pairs of different and {found.genuine_pairs} of the same person"
    _say(f"{found.persons} persons, {pairs}")
    _say(f"thresholds {'are' if args.apply else 'would be'} {found.shift:+.3f} from those of the table")
    if found.missed is not None:
        _say(f"{found.missed:.1%} of the pairs of one person are below the threshold")
    for one, other, cosine in found.alike:
        _say(f"look alike ({cosine:.2f}): {names[one]} and {names[other]}; one person under two names?")
    for one, cosine in found.unlike:
        _say(f"has pictures that are unlike ({cosine:.2f}): {names[one]}; of two persons?")
    if not args.apply:
        _say("--apply takes this over")
    return 0


def see_again(args: argparse.Namespace, desk: FaceDesk) -> int:
    taken, without = desk.see_again()
    _say(
        f"{taken} faces seen again by {desk.model}" + (f"; {without} have no crop: enrol them again" if without else "")
    )
    return 1 if without else 0


def list_unknown(args: argparse.Namespace, desk: FaceDesk) -> int:
    persons = sorted(desk.unknown.load().persons, key=lambda one: -one.last_seen)
    if args.json:
        _say(json.dumps([
            {"id": one.number, "visits": one.visits, "first_seen": one.first_seen, "last_seen": one.last_seen}
            for one in persons
        ]))  # fmt: skip
        return 0
    if not persons:
        _say("nobody unknown was seen")
        return 0
    _table([
        ("ID", "VISITS", "FIRST SEEN", "LAST SEEN"),
        *((str(one.number), str(one.visits), _moment(one.first_seen), _moment(one.last_seen)) for one in persons),
    ])  # fmt: skip
    return 0


def name_unknown(args: argparse.Namespace, desk: FaceDesk) -> int:
    person = desk.name_unknown(args.number, args.name, anyway=args.anyway)
    _say(f"{person.name}: {_faces(person, desk)}")
    return 0


def forget_unknown(args: argparse.Namespace, desk: FaceDesk) -> int:
    numbers = [one.number for one in desk.unknown.load().persons] if args.all else args.numbers
    for number in numbers:
        desk.unknown.find(number)
    desk.unknown.forget(numbers)
    desk.gallery.database.scrub()
    _say(f"forgot {len(numbers)}")
    return 0


def unknown_picture(args: argparse.Namespace, desk: FaceDesk) -> int:
    crop = desk.unknown.crop(desk.unknown.find(args.number).number)
    if crop is None:
        raise GalleryError(f"no picture is kept of unknown person {args.number}: `crops` is off")
    if not cv2.imwrite(str(args.file), crop):
        raise GalleryError(f"{args.file} cannot be written: name a .png or .jpg in a folder that is there")
    return 0


def _person(person: Person) -> dict[str, object]:
    return {"name": person.name, "added_at": person.added_at, "faces": person.faces}


def _faces(person: Person, desk: FaceDesk) -> str:
    here = person.faces.get(desk.model, 0)
    others = sum(person.faces.values()) - here
    told = f"{here} face{'' if here == 1 else 's'}"
    return told if not others else f"{told} ({others} of other networks: `sightd faces see-again`)"


def _share(rate: float) -> str:
    return f"{rate:.0%} of strangers" if rate > 0.01 else f"one stranger in {round(1 / rate):,}"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(text: str) -> None:
    print(text)
