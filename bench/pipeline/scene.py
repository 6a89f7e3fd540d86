"""What the simulated cameras show: a real street, as a video and as a photograph, 1280x720."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np

from bench.pipeline.report import progress
from sightd.daemon.capture.picture import to_bgr
from sightd.engines.files import cache_directory
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.samples import SampleStore
from sightd.engines.progress import silent
from sightd.plugins.api import Image

SIZE = (1280, 720)
FPS = 25
_SAMPLE = "bikes.mp4"


def sample() -> Path:
    """Returns the sample video, downloading it if needed. Raises EngineError if it is not available."""
    store = SampleStore(cache_directory(os.environ) / "samples")
    return store.ensure(_SAMPLE, Fetcher(silent, default_mirror(os.environ)))


def film(folder: Path) -> Path:
    """Writes the sample scaled to 1280x720 with black bars, in H.264 as a camera sends it: no B-frames, a key frame
    every 2 s."""
    progress("transcoding the sample video to 1280x720")
    path = folder / "film.mp4"
    with av.open(str(sample())) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "g": str(2 * FPS)}
        stream.codec_context.thread_count = 1  # one slice per frame, as most cameras send
        for picture in source.decode(video=0):
            image = _fitted(to_bgr(picture))
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        target.mux(stream.encode(None))
    return path


def photograph(folder: Path) -> Path:
    """Writes a frame of the sample, 1280x720, for cameras that stamp frames while sending them."""
    path = folder / "street.png"
    with av.open(str(sample())) as source:
        picture = next(source.decode(video=0))
    cv2.imwrite(str(path), _fitted(to_bgr(picture)))
    return path


def _fitted(image: Image) -> Image:
    """Scales the image to the camera's width, centred between black bars."""
    width, height = SIZE
    inner = round(image.shape[0] * width / image.shape[1])
    scaled = cv2.resize(image, (width, inner), interpolation=cv2.INTER_CUBIC)[:height]
    fitted = np.zeros((height, width, 3), np.uint8)
    top = (height - scaled.shape[0]) // 2
    fitted[top : top + scaled.shape[0]] = scaled
    return fitted
