"""Reads frames from files: images, folders of images, and videos; every frame, in order, decoded ahead if asked for."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import av

from sightd.daemon.capture.decoding import CpuDecoding, DecodedFrame
from sightd.daemon.capture.errors import SourceError
from sightd.daemon.capture.picture import MOST_PIXELS
from sightd.daemon.capture.stream import presentation_times, video_of
from sightd.daemon.config.model import Deinterlace
from sightd.engines.files import require_regular
from sightd.engines.text import printable
from sightd.plugins.api import Frame, Image
from sightd.plugins.images.still import StillError, read_still

PICTURES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
     ".jp2", ".avif", ".heic", ".heif"}
)  # fmt: skip
"""Suffixes of image files. HEIC is included so that it is rejected with what to do."""
VIDEOS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".m2v", ".vob", ".3gp",
     ".3g2", ".wmv", ".asf", ".flv", ".ogv", ".mxf", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg",
     ".ivf", ".y4m", ".gif"}
)  # fmt: skip
FOLDER_FPS = 25.0
"""Frame rate at which a folder of images is read: trackers need times."""
_NAMED = 5
"""Files of one kind that are named when a folder's files are skipped; beyond that, only their number is given."""
_WITH_DURATION = ("matroska", "flv")
"""Formats whose header states the duration. For others, FFmpeg derives it from the end of what is there."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""`Path` turns two slashes into one."""


class MediaError(Exception):
    """A source is missing, broken, or contains nothing to analyse."""


@dataclass(frozen=True, slots=True)
class MediaSequence:
    """Frames that belong together: a video, an image, or the images of a folder. Tracks do not cross its borders.

    `base` is the folder that was named as the source; for a single file, the folder that contains it. `begins` is when
    a video was recorded, s since the epoch; None if that is unknown.
    """

    name: str
    files: tuple[Path, ...]
    is_video: bool
    base: Path
    begins: float | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a source contains. `left_out` are lines that say which files of a folder are not read, and why."""

    sequences: tuple[MediaSequence, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A frame and the file it comes from."""

    source: str
    frame: Frame


def contents(source: Path) -> Contents:
    """Returns what a source contains; a folder is searched recursively. Raises MediaError."""
    if not source.exists():
        if address := _ADDRESS.match(str(source)):  # not quoted: it may contain a password
            raise MediaError(
                f"{address[1]}://…: is a URL, but only files can be analysed; configure it as a camera source "
                "and use `sightd run`"
            )
        raise MediaError(f"{printable(str(source))}: no such file or folder")
    if not source.is_dir():
        try:
            require_regular(source)
        except OSError as error:
            raise MediaError(f"{printable(str(source))}: {error.strerror}") from error
        is_video = source.suffix.lower() not in PICTURES
        return Contents((MediaSequence(str(source), (source,), is_video, source.parent),))
    return _folder(source)


def sequences(source: Path) -> list[MediaSequence]:
    """Returns the sequences of `contents`. Raises MediaError."""
    return list(contents(source).sequences)


def _folder(source: Path) -> Contents:
    found: list[MediaSequence] = []
    others: list[Path] = []
    unreadable: list[str] = []
    for folder, files in _walk(source, unreadable):
        pictures = tuple(path for path in files if path.suffix.lower() in PICTURES)
        if pictures:
            found.append(MediaSequence(str(folder), pictures, is_video=False, base=source))
        videos = [path for path in files if path.suffix.lower() in VIDEOS]
        found += [MediaSequence(str(path), (path,), is_video=True, base=source) for path in videos]
        others += [path for path in files if path.suffix.lower() not in PICTURES | VIDEOS]
    skipped = (*unreadable, *not_read(others))
    if not found:
        raise MediaError("\n".join((f"{printable(str(source))}: this folder contains no image or video", *skipped)))
    return Contents(tuple(found), skipped)


def _walk(source: Path, unreadable: list[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yields each folder with its files in natural order; follows links to folders, and visits none twice."""
    known: set[str] = set()

    def cannot_be_read(error: OSError) -> None:
        unreadable.append(f"{printable(str(error.filename))}: skipped, {error.strerror}")

    for folder, below, names in os.walk(source, onerror=cannot_be_read, followlinks=True):
        below[:] = sorted(name for name in below if _is_new(Path(folder, name), known))
        files = [Path(folder, name) for name in names]
        yield Path(folder), sorted((path for path in files if path.is_file()), key=_natural)


def _is_new(folder: Path, known: set[str]) -> bool:
    place = os.path.realpath(folder)
    if place in known:
        return False
    known.add(place)
    return True


def not_read(files: Iterable[Path], kinds: str = "image or video") -> Iterator[str]:
    """Yields lines that say which files are left out because their suffix is not of `kinds`; of many with one suffix,
    names the first few."""
    by_suffix = defaultdict[str, list[Path]](list)
    for path in files:
        by_suffix[path.suffix.lower()].append(path)
    for suffix, alike in by_suffix.items():
        kind = f"{printable(suffix)} is not a known {kinds} suffix" if suffix else "the file name has no suffix"
        for path in alike[:_NAMED]:
            yield f"{printable(str(path))}: skipped, {kind}"
        if len(alike) > _NAMED:
            yield f"{printable(str(alike[_NAMED].parent))}: skipped {len(alike) - _NAMED} more files: {kind}"


def length(sequence: MediaSequence) -> int | None:
    """Returns how many frames to expect, for a progress bar; None if the file does not say."""
    if not sequence.is_video:
        return len(sequence.files)
    try:
        with av.open(f"file:{sequence.files[0]}") as container:
            return video_of(container).frames or None
    except (av.FFmpegError, OSError, SourceError):
        return None


def frames(sequence: MediaSequence, deinterlace: Deinterlace = "auto") -> Iterator[Item | MediaError]:
    """Yields all frames in order; `captured_at` is media time. Broken parts are reported in their place; the rest
    follows."""
    if sequence.is_video:
        yield from _video(sequence, deinterlace)
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
    """Reads an image file as BGR uint8 [height, width, 3]. Raises MediaError."""
    try:
        return read_still(path)
    except StillError as error:
        raise MediaError(str(error)) from error


class _Film:
    """An open video, read once from beginning to end; it counts what is missing."""

    def __init__(self, container: av.container.InputContainer, deinterlace: Deinterlace) -> None:
        """Raises SourceError if it contains no video."""
        self._container = container
        self._video = video_of(container)
        self._video.thread_type = "SLICE"  # frame threads lose errors, and frames with them
        aspect, times = self._video.sample_aspect_ratio, presentation_times(container)
        self._decoding = CpuDecoding(self._video.codec_context, aspect, deinterlace, times)
        self._interval = 1 / float(self._video.guessed_rate or self._video.average_rate or FOLDER_FPS)
        self._last = -self._interval
        self._end = 0.0
        self.timed = False
        """Whether the file states times."""
        self._packets = self._undecodable = self._damaged = self.frames = 0

    def pictures(self) -> Iterator[tuple[DecodedFrame, float]]:
        """Yields each frame with its media time in s, which always increases. Raises what PyAV raises."""
        for packet in self._container.demux():
            self._count(packet)
            if packet.stream.index != self._video.index:
                continue
            try:
                pictures = self._decoding.decode(packet)
            except av.error.InvalidDataError:
                self._undecodable += 1
                continue
            for picture in pictures:
                later = picture.pts is not None and picture.pts > self._last
                self._last = picture.pts if later and picture.pts is not None else self._last + self._interval
                self.timed = self.timed or picture.pts is not None
                self._damaged += picture.corrupt
                self.frames += 1
                yield picture, self._last

    def fault(self) -> str | None:
        """Returns what was wrong, as text, once all has been read; None if nothing was."""
        declared, at_least = self._declared()
        missing = f"{declared} declared, {at_least} read" if declared else None
        faults = [
            f"frames are missing: {missing}" if missing else None,
            f"{self._undecodable} packets cannot be decoded" if self._undecodable else None,
            f"{self._damaged} frames are damaged" if self._damaged else None,
        ]
        return "; ".join(fault for fault in faults if fault) or None

    def _count(self, packet: av.Packet[Any]) -> None:
        if packet.size:
            self._packets += packet.stream.index == self._video.index
            at = packet.pts if packet.pts is not None else packet.dts
            if at is not None and packet.time_base is not None:
                self._end = max(self._end, float((at + (packet.duration or 0)) * packet.time_base))

    def _declared(self) -> tuple[str | None, str]:
        """Returns what the file says it contains, if that is more than was read, and what was read."""
        name = self._container.format.name
        if name.startswith("mov"):
            listed = len(self._video.index_entries)  # does not include those that an edit list leaves out
            return (str(listed) if self._packets < listed else None), str(self.frames)
        seconds = 0.0
        if name == "avi" and self._video.time_base:
            seconds = float(self._video.frames * self._video.time_base)  # its length is in ticks
        elif name.startswith(_WITH_DURATION) and self._container.duration:
            seconds = self._container.duration / av.time_base
        least = 3 * self._interval if name == "avi" else 1.0  # the last frame of other formats may be shown for long
        missing = self._end + max(least, seconds / 50) < seconds
        return (f"{seconds:.1f} s" if missing else None), f"{self._end:.1f} s"


def _video(sequence: MediaSequence, deinterlace: Deinterlace) -> Iterator[Item | MediaError]:
    path, film = sequence.files[0], None
    name = printable(str(path))
    try:
        with av.open(f"file:{path}") as container:  # "file:" keeps FFmpeg from reading a colon as a protocol's
            film = _Film(container, deinterlace)
            for picture, time in film.pictures():
                pts = time if film.timed else None
                yield Item(str(path), _frame(sequence, film.frames - 1, picture, time, pts))
            fault = film.fault() if film.frames else "contains no frame that can be decoded"
    except SourceError as error:
        fault = error.detail or "not a video or image"
    except (av.FFmpegError, OSError) as error:
        fault = _broken_off(error, film.frames if film else 0, path)
    if fault:
        yield MediaError(f"{name}: {fault}")


def _broken_off(error: Exception, seq: int, path: Path) -> str:
    why = getattr(error, "strerror", None) or str(error)
    if seq > 0:
        return f"cannot be read beyond frame {seq}: {why}"
    if isinstance(error, av.error.ArgumentError):  # FFmpeg's answer to a size that is impossible or above the limit
        return f"the frames are damaged, or larger than {MOST_PIXELS // 10**6} million pixels"
    if not isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return f"cannot be read: {why}"
    if _is_mp4(path):
        return "the index is missing: the recording or copy was interrupted"
    return "not a video or image"


def _is_mp4(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"ftyp"
    except OSError:
        return False


def _frame(sequence: MediaSequence, seq: int, picture: DecodedFrame, time: float, pts: float | None) -> Frame:
    return Frame(
        sequence.name,
        seq,
        picture.size,
        picture.decode,
        captured_at=time,
        wall_time=0.0 if sequence.begins is None else sequence.begins + time,
        pts=pts,
        luma=picture.luma,
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts "frame2" before "frame10"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name.lower())]


T = TypeVar("T")


def prefetch(items: Iterator[T], depth: int = 8) -> Iterator[T]:
    """Yields the same items in the same order, at most `depth` of them prefetched; an error is raised in its place."""
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                made.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            with closing(items) if isinstance(items, Generator) else nullcontext():
                for item in items:
                    put(item, None)
                    if stop.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 — passed to the consumer, which raises it
            put(None, error)
            return
        put(None, StopIteration())

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join(5.0)
