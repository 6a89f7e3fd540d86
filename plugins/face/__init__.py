"""Faces: found, looked at, recognised by their likeness to those of a gallery."""

from sightd.plugins.face.plugin import FaceRecogniser

__all__ = ["FaceRecogniser"]
