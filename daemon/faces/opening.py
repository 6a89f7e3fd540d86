"""Opens the gallery that a configuration or the command line names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sightd.daemon.faces.service import FaceService
from sightd.daemon.pipeline.opening import LoadEngine
from sightd.engines.catalog import Catalog
from sightd.engines.regular_file import read_regular
from sightd.plugins.face.analyser import FaceAnalyser
from sightd.plugins.face.calibration import calibration_of
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.face_detector import Search
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.paths import default_gallery

_MOST_KEY = 64 * 1024
"""Maximum bytes of a key file."""
_PHOTO_SIZE = 1024
"""Longest side in pixels in which photos are searched for faces: there is time for it, and portraits are large."""


def open_face_service(
    config: FaceConfig,
    load_engine: LoadEngine,
    environ: Mapping[str, str],
    *,
    may_stand_in: bool = False,
    create: bool = True,
) -> FaceService:
    """Opens or creates the gallery; models are loaded when first needed. Raises GalleryError if that fails; with
    `may_stand_in` it is no error if the gallery cannot be written; without `create`, a missing one is empty and is
    not created."""
    calibration = calibration_of(config.recogniser)
    if calibration is None:
        raise GalleryError(f"the recogniser {config.recogniser!r} has no calibration: use sface")
    key = None if config.key is None else config.key.get_secret_value()
    gallery = Gallery(config.gallery or default_gallery(environ), key, may_stand_in=may_stand_in, create=create)

    def load(closing: ExitStack) -> FaceAnalyser:
        detector = Catalog.load().get(config.detector)
        for_photos = replace(detector, input=replace(detector.input, width=_PHOTO_SIZE, height=_PHOTO_SIZE))
        finds = load_engine([for_photos], 1, config)
        closing.callback(finds.close)
        recognises = load_engine([config.recogniser], 1, config)
        closing.callback(recognises.close)
        search = Search(min_score=config.min_score, min_size=0, size=_PHOTO_SIZE)
        analyser = FaceAnalyser.of(finds, recognises, search)
        closing.callback(analyser.close)
        return analyser

    return FaceService(gallery, config, calibration, load)


def key_in(file: Path | None) -> str | None:
    """Returns the key in a file; None if there is no file. Raises GalleryError if it cannot be read or is empty."""
    if file is None:
        return None
    try:
        key = read_regular(file, _MOST_KEY).decode().strip()
    except OSError as error:
        raise GalleryError(f"key file {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise GalleryError(f"key file {file} is not UTF-8 text") from None
    if not key:
        raise GalleryError(f"key file {file} is empty")
    return key
