"""Style transfer: a feed becomes a moving painting."""

from sightd.plugins.style.plugin import Stylist

__all__ = ["Stylist"]
