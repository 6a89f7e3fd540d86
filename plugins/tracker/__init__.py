"""Follows detected objects from frame to frame and says where they are in between.

`motion` predicts boxes, `association` pairs them with detections, `lifecycle` begins, confirms and ends tracks,
`view` turns them into results, `plugin` keeps one state per camera.
"""

from sightd.plugins.tracker.plugin import Tracker, TrackerConfig

__all__ = ["Tracker", "TrackerConfig"]
