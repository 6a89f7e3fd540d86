"""Files to frames: pictures, folders of pictures and videos, every frame of them, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from daemon.capture.picture import lazily
from plugins.still import StillError, read_still
from plugins.types import Frame, Image

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
VIDEOS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mts", ".mpg", ".mpeg", ".h264", ".264", ".mjpeg", ".flv"}
)
FOLDER_FPS = 25.0
"""Frame rate at which a folder of pictures is read: trackers need times."""


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""`Path` makes one slash of two."""


class MediaError(Exception):
    """A source is missing, broken, or holds nothing to look at."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Frames that belong together: a video, a picture, or the pictures of a folder. Tracks do not cross its borders.

    `base` is the folder that was named as the source; for a single file the folder that it lies in.
    """

    name: str
    files: tuple[Path, ...]
    is_video: bool
    base: Path


@dataclass(frozen=True, slots=True)
class Item:
    """A frame with the file that it is of."""

    source: str
    frame: Frame


def sequences(source: Path) -> list[Sequence]:
    """What a source holds; a folder is searched with all folders below it. Raises MediaError."""
    if not source.exists():
        if address := _ADDRESS.match(str(source)):  # nothing of it is quoted: it may hold a password
            raise MediaError(
                f"{address[1]}://…: an address, and only files are analysed; "
                "write it as a camera's source into a configuration and watch it with `sightd run`"
            )
        raise MediaError(f"{source}: no such file or folder")
    if not source.is_dir():
        return [Sequence(str(source), (source,), source.suffix.lower() not in PICTURES, source.parent)]
    found: list[Sequence] = []
    for folder in [source, *sorted(path for path in source.rglob("*") if path.is_dir())]:
        files = sorted((path for path in folder.iterdir() if path.is_file()), key=_natural)
        pictures = tuple(path for path in files if path.suffix.lower() in PICTURES)
        if pictures:
            found.append(Sequence(str(folder), pictures, is_video=False, base=source))
        found += [
            Sequence(str(path), (path,), is_video=True, base=source) for path in files if path.suffix.lower() in VIDEOS
        ]
    if not found:
        raise MediaError(f"{source}: no picture or video in this folder")
    return found


def length(sequence: Sequence) -> int | None:
    """How many frames to expect, for a progress bar; None where the file does not tell."""
    if not sequence.is_video:
        return len(sequence.files)
    try:
        with av.open(f"file:{sequence.files[0]}") as container:
            return container.streams.video[0].frames or None if container.streams.video else None
    except (av.FFmpegError, OSError):
        return None


def frames(sequence: Sequence) -> Iterator[Item | MediaError]:
    """All frames in order; `captured_at` is media time. What is broken is told in its place, and the rest follows."""
    if sequence.is_video:
        yield from _video(sequence)
        return
    for seq, path in enumerate(sequence.files):
        time = seq / FOLDER_FPS
        try:
            image = read_picture(path)
        except MediaError as error:
            yield error
            continue
        frame = Frame.of(image, camera=sequence.name, seq=seq, captured_at=time, pts=time, still=True)
        yield Item(str(path), frame)


def read_picture(path: Path) -> Image:
    """A picture file as BGR uint8 [height, width, 3]. Raises MediaError."""
    try:
        return read_still(path)
    except StillError as error:
        raise MediaError(str(error)) from error


def _video(sequence: Sequence) -> Iterator[Item | MediaError]:
    path, seq, damaged = sequence.files[0], 0, 0
    try:
        with av.open(f"file:{path}") as container:  # "file:" keeps FFmpeg from reading a colon as a protocol's
            if not container.streams.video:
                yield MediaError(f"{path}: not a video or picture")
                return
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            interval = 1 / float(stream.average_rate or FOLDER_FPS)
            last = -interval
            for packet in container.demux(stream):
                try:
                    pictures = packet.decode()
                except av.error.InvalidDataError:
                    damaged += 1
                    continue
                for picture in pictures:
                    last = picture.time if picture.time is not None and picture.time > last else last + interval
                    yield Item(str(path), _frame(sequence, seq, picture, last))
                    seq += 1
    except (av.FFmpegError, OSError) as error:
        yield MediaError(f"{path}: {_broken_off(error, seq)}")
        return
    if seq == 0:
        yield MediaError(f"{path}: holds no frame that can be decoded")
    elif damaged:
        yield MediaError(f"{path}: frames are missing, {damaged} of its packets cannot be decoded")


def _broken_off(error: Exception, seq: int) -> str:
    why = getattr(error, "strerror", None) or str(error)
    if seq > 0:
        return f"cannot be read beyond frame {seq}: {why}"
    no_media = isinstance(error, (av.error.InvalidDataError, av.error.EOFError))
    return "not a video or picture" if no_media else f"cannot be read: {why}"


def _frame(sequence: Sequence, seq: int, picture: av.VideoFrame, time: float) -> Frame:
    size = (picture.width, picture.height)
    return Frame(sequence.name, seq, size, lazily(picture), captured_at=time, wall_time=0.0, pts=picture.time)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts "frame2" before "frame10"."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name.lower())]
