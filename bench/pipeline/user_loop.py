"""The loop a user would write: cv2.VideoCapture → ONNX Runtime → cv2 drawing → raw video into ffmpeg.

Runs in its own process (`python -m bench.pipeline.user_loop SOURCE TARGET --model NAME`). It uses the product's
pre-processing, box decoding and NMS, which are faster than what is usually written. Everything else is as in tutorials:
each frame is read, analysed, drawn on and written, one after another, with each library's default settings. It prints
ffmpeg's process ID, so that the parent can count its CPU time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import cv2
import numpy as np
import onnxruntime

from bench.pipeline.drawing import draw
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.store import ModelStore, default_directory
from sightd.engines.preprocess import prepare
from sightd.plugins.detector.config import DetectorConfig
from sightd.plugins.detector.heads.registry import head_of
from sightd.plugins.detector.selection import Selection


def ffmpeg_command(width: int, height: int, target: str) -> list[str]:
    """Returns an ffmpeg command that encodes raw BGR from standard input as H.264 in MPEG-TS, with the low-delay
    settings that guides recommend."""
    return [
        *("ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}"),
        *("-r", "25", "-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "23"),
        *("-g", "50", "-pix_fmt", "yuv420p", "-flush_packets", "1", "-f", "mpegts", target),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--model", required=True)
    args = parser.parse_args()
    model = Catalog.load().get(args.model)
    path = ModelStore(default_directory(os.environ)).verify(model)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    head, selection = head_of(model), Selection(DetectorConfig(), model.labels)
    capture = cv2.VideoCapture(args.source)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    with subprocess.Popen(ffmpeg_command(*size, args.target), stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        print(encoder.pid, flush=True)
        while True:
            there, picture = capture.read()
            if not there:
                sys.exit("the camera's stream ended")
            image = np.asarray(picture, np.uint8)
            tensor, geometries = prepare([image], model.input)
            found = dict(zip(outputs, session.run(outputs, {model.input.tensor: tensor}), strict=True))
            draw(image, selection.detections(head(found, model.input, selection.min_score)[0], geometries[0]))
            encoder.stdin.write(image.tobytes())


if __name__ == "__main__":
    main()
