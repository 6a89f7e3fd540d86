"""The detector: finds objects of the classes that its model knows."""

from sightd.plugins.detector.plugin import Detector

__all__ = ["Detector"]
