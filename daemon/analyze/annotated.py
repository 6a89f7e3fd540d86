"""Annotated copies of what was analysed: a picture for a picture, an MP4 for a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import cv2
from av.container import OutputContainer
from av.video.stream import VideoStream

from daemon.analyze.media import Item, MediaError, Sequence
from plugins.types import Image

_CRF = "20"


def endangered(folder: Path, sources: Iterable[Path]) -> Path | None:
    """The first source that lies where annotated copies would be written: they could take the place of originals."""
    target = folder.resolve()
    for source in sources:
        place = source.resolve()
        if target == place.parent if place.is_file() else target.is_relative_to(place):
            return source
    return None


class AnnotatedFolder:
    """Writes annotated copies into a folder, under the sources' own names; folders below a source are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[Path] = set()
        self._originals: set[Path] = set()

    def spare(self, originals: Iterable[Path]) -> None:
        """Files that no copy may take the place of, wherever they lie."""
        self._originals |= {path.resolve() for path in originals}

    def writer(self, sequence: Sequence) -> AnnotatedVideo | AnnotatedPictures:
        """The writer for a sequence's frames. Raises MediaError where the folder cannot be made."""
        folder = self.folder / sequence.files[0].parent.relative_to(sequence.base)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"{folder}: cannot be made: {error.strerror}") from error
        if sequence.is_video:
            return AnnotatedVideo(self._free(folder, Path(sequence.name).stem, ".mp4"))
        return AnnotatedPictures(
            {str(path): self._free(folder, path.stem, _coloured(path.suffix)) for path in sequence.files}
        )

    def _free(self, folder: Path, stem: str, suffix: str) -> Path:
        """A path that this run has not used: different sources may have files of the same name."""
        path, n = folder / f"{stem}{suffix}", 1
        while path in self._used or path.resolve() in self._originals:
            n += 1
            path = folder / f"{stem}-{n}{suffix}"
        self._used.add(path)
        return path


def _coloured(suffix: str) -> str:
    """The format of a copy: the source's own, but that PGM holds no colours."""
    return ".ppm" if suffix.lower() == ".pgm" else suffix


class AnnotatedPictures:
    """Annotated pictures, one file each, in the format that its name says: the source's own."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def add(self, image: Image, item: Item) -> None:
        path = self._paths[item.source]
        suffix = path.suffix.lower()
        options = [cv2.IMWRITE_JPEG_QUALITY, 92] if suffix in (".jpg", ".jpeg") else []
        encoded, data = cv2.imencode(suffix, image, options)
        if not encoded:
            raise MediaError(f"{path}: the picture could not be encoded")
        path.write_bytes(data.tobytes())

    def close(self) -> None:
        """Each file was finished when it was written."""


class AnnotatedVideo:
    """An annotated video, H.264 in MP4, with the times of the source's frames."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None

    def add(self, image: Image, item: Item) -> None:
        """Appends a picture (BGR, even sides). Pictures of another size than the first are scaled."""
        if self._container is None or self._stream is None:
            self._open(image)
        assert self._container is not None
        assert self._stream is not None
        size = (self._stream.width, self._stream.height)
        if (image.shape[1], image.shape[0]) != size:
            image = cv2.resize(image, size)  # type: ignore[assignment]
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = round(item.frame.captured_at * 90000), Fraction(1, 90000)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finishes the file; nothing is written where no picture came."""
        container, self._container = self._container, None
        if container is not None:
            with container:
                if self._stream is not None:
                    container.mux(self._stream.encode(None))

    def _open(self, image: Image) -> None:
        self._container = av.open(f"file:{self._path}", "w")
        self._stream = self._container.add_stream("libx264", options={"crf": _CRF, "preset": "veryfast"})
        self._stream.height, self._stream.width = image.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, 90000)
