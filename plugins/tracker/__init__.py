"""Tracks detected objects across frames and predicts their positions in between.

`motion` predicts boxes, `association` and `rounds` match them with detections, `lifecycle` starts, confirms and ends
tracks, `camera_tracks` holds the tracks of a camera and turns them into results, `scene` finds camera motion and scene
cuts, `looks` and `reidentification` find lost objects again by how they look, `objects` reports objects as events, and
`plugin` keeps one state per camera.
"""

from sightd.plugins.tracker.plugin import Tracker, TrackerConfig

__all__ = ["Tracker", "TrackerConfig"]
