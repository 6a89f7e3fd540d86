"""Style transfer: turns a video feed into a moving painting."""

from sightd.plugins.style.plugin import Stylist

__all__ = ["Stylist"]
