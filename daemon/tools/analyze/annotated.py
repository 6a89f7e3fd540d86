"""Annotated copies of what was analysed: an image for an image, an MP4 for a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import cv2
from av.container import OutputContainer
from av.video.stream import VideoStream

from sightd.daemon.encode.codecs import CLOCK, mark_colours
from sightd.daemon.encode.encoder import i420_for, to_i420
from sightd.daemon.tools.media import Item, MediaError, MediaSequence
from sightd.engines.files import Replacement, write_whole
from sightd.engines.text import printable
from sightd.plugins.api import Image

_CRF = "20"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


def endangered(folder: Path, sources: Iterable[Path]) -> Path | None:
    """Returns the first source located where annotated copies would be written: they could overwrite originals."""
    target = folder.resolve()
    for source in sources:
        place = source.resolve()
        if target == place.parent if place.is_file() else target.is_relative_to(place):
            return source
    return None


class AnnotatedFolder:
    """Writes annotated copies into a folder, under the sources' own names; keeps the folders below a source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[Path] = set()
        self._originals: set[Path] = set()

    def spare(self, originals: Iterable[Path]) -> None:
        """Adds files that no copy may overwrite, wherever they are."""
        self._originals |= {path.resolve() for path in originals}

    def writer(self, sequence: MediaSequence) -> AnnotatedVideo | AnnotatedPictures:
        """Returns the writer for a sequence's frames. Raises MediaError if the folder cannot be created."""
        folder = self.folder / sequence.files[0].parent.relative_to(sequence.base)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"{printable(str(folder))}: cannot be created: {error.strerror}") from error
        if sequence.is_video:
            return AnnotatedVideo(self._free(folder, Path(sequence.name).stem, ".mp4"))
        return AnnotatedPictures(
            {str(path): self._free(folder, path.stem, _coloured(path.suffix)) for path in sequence.files}
        )

    def _free(self, folder: Path, stem: str, suffix: str) -> Path:
        """Returns a path that this run has not used: different sources may have files of the same name."""
        path, n = folder / f"{stem}{suffix}", 1
        while path in self._used or path.resolve() in self._originals:
            n += 1
            path = folder / f"{stem}-{n}{suffix}"
        self._used.add(path)
        return path


def _coloured(suffix: str) -> str:
    """Returns the format of a copy: the source's own, except that PGM and PBM hold no colours."""
    return ".ppm" if suffix.lower() in (".pgm", ".pbm") else suffix


class AnnotatedPictures:
    """Annotated images, one file each, in the format that its name says: the source's own."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def add(self, image: Image, item: Item) -> None:
        """Writes an image (BGR). Raises MediaError if it cannot be written; an earlier copy is unchanged then."""
        path = self._paths[item.source]
        suffix = path.suffix.lower()
        jpeg = suffix in (".jpg", ".jpeg", ".jpe", ".jfif")
        encoded, data = cv2.imencode(".jpg" if jpeg else suffix, image, _JPEG if jpeg else [])
        if not encoded:
            raise MediaError(f"{printable(str(path))}: the image could not be encoded")
        try:
            write_whole(path, data.tobytes())
        except OSError as error:
            raise _unwritten(path, error) from error

    def close(self) -> None:
        """Does nothing: each file was finished when it was written."""


class AnnotatedVideo:
    """An annotated video, H.264 in MP4, with the times of the source's frames.

    Colours are converted and tagged as by the live encoder (`daemon.encode`). The file is complete after `close`;
    if it could not be written, it is removed and an earlier copy is unchanged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _Target | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._begun = False
        """Whether the encoder has received an image, so that the file will contain one."""

    def add(self, image: Image, item: Item) -> None:
        """Appends an image (BGR, even sides). Images of another size than the first are scaled. Raises MediaError if it
        cannot be written."""
        if self._container is None or self._stream is None:
            self._open(image)
        assert self._container is not None
        assert self._stream is not None
        width, height = self._stream.width, self._stream.height
        if (image.shape[1], image.shape[0]) != (width, height):
            image = cv2.resize(image, (width, height))  # type: ignore[assignment]
        planes = i420_for(width, height)
        to_i420(image, planes)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        mark_colours(frame)
        frame.pts, frame.time_base = round(item.frame.captured_at * CLOCK), Fraction(1, CLOCK)
        packets, self._begun = self._stream.encode(frame), True
        self._container.mux(packets)
        if self._file is not None and self._file.error is not None:
            raise _unwritten(self._path, self._file.error)

    def close(self) -> None:
        """Finishes the file; leaves none if no image was added. Raises MediaError if it cannot be written."""
        container, self._container = self._container, None
        target, self._file = self._file, None
        if target is None:
            return
        try:
            with container or nullcontext():
                if container is not None and self._stream is not None and self._begun and target.error is None:
                    container.mux(self._stream.encode(None))
        except BaseException:
            target.discard()
            raise
        if self._begun and target.error is None:
            target.commit()
        else:  # without an image: a signal arrived just after it was opened
            target.discard()
        if target.error is not None:
            raise _unwritten(self._path, target.error)

    def _open(self, image: Image) -> None:
        height, width = image.shape[:2]
        try:
            self._file = _Target(self._path)
        except OSError as error:
            raise _unwritten(self._path, error) from error
        self._container = av.open(self._file, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", options={"crf": _CRF, "preset": "veryfast"})
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, CLOCK)
        mark_colours(self._stream.codec_context)


class _Target:
    """The file that FFmpeg writes into. An error is kept in `error` and hidden from FFmpeg, which crashes if it is used
    again after it could not write a header. Nothing more is written then."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._new = Replacement(path)
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self._new.write_all(data)
            except OSError as error:
                self.error = error
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        return self._new.file.seek(offset, whence)

    def tell(self) -> int:
        return self._new.file.tell()

    def commit(self) -> None:
        """Closes the file and moves it into place; `error` says if that failed."""
        try:
            self._new.commit()
        except OSError as error:
            self.error = error

    def discard(self) -> None:
        """Removes the file."""
        self._new.discard()


def _unwritten(path: Path, error: OSError) -> MediaError:
    return MediaError(f"{printable(str(path))}: cannot be written: {error.strerror}")
