"""The detector: finds objects of the classes that its network knows."""

from plugins.detector.plugin import Detector

__all__ = ["Detector"]
