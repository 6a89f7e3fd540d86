"""`sightd motion`: shows what several values of `threshold` find in a video."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.plugins.api import Command, CommandContext, PluginError

if TYPE_CHECKING:
    import numpy as np

_THRESHOLDS = (10, 15, 25, 40, 60)
_DESCRIPTION = """\
Helps to choose `threshold` of the motion plug-in: runs it on every frame of a video with several thresholds. All other
options have their defaults."""
_EXAMPLES = """\
example:
  sightd motion yard.mp4

MOVING is the share of frames on which something moves, MEAN AREA how much of such a frame moves on average.

The exit code is 0 if all went well, 1 if the video cannot be read, 2 for wrong usage.
"""


def _add(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video file")


def _run(args: argparse.Namespace, context: CommandContext) -> int:
    shares = _shares(args.video)
    context.print(f"{args.video}: {len(shares)} frames")
    context.print_table(("THRESHOLD", "MOVING", "MEAN AREA"), map(_row, _THRESHOLDS, shares.T))
    return 0


def _row(threshold: int, shares: np.ndarray) -> tuple[str, str, str]:
    moving = shares[shares > 0]
    return str(threshold), f"{len(moving) / len(shares):.1%}", f"{moving.mean():.2%}" if len(moving) else "-"


def _shares(path: Path) -> np.ndarray:
    """Returns the share of each frame that moves, 0-1, as float64 [frames, thresholds]. Raises PluginError if the file
    cannot be read or has fewer than two frames."""
    import cv2
    import numpy as np

    from sightd.plugins.api import Frame, Results
    from sightd_motion.plugin import Motion, MotionConfig, Movement

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # the error below says enough
    plugins = [Motion(MotionConfig(threshold=threshold)) for threshold in _THRESHOLDS]
    shares = []
    try:
        with path.open("rb") as file:  # OpenCV would take some names for URLs, and crashes if one is not UTF-8
            video = cv2.VideoCapture(f"/dev/fd/{file.fileno()}", cv2.CAP_FFMPEG)
            while (read := video.read())[0]:
                frame = Frame.of(np.asarray(read[1], np.uint8))
                results = [plugin.process([frame], [Results()])[0] for plugin in plugins]
                shares.append([found.share for result in results if (found := result.get(Movement))])
            video.release()
    except OSError as error:
        raise PluginError(f"{path}: {error.strerror}") from error
    if len(shares) < 2:
        raise PluginError(f"{path}: is not a video of two frames or more that OpenCV can read; try another file")
    return np.array(shares)


COMMAND = Command("show what different thresholds find in a video", _add, _run)
