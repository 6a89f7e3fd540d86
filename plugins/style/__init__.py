"""Style transfer: a feed becomes a moving painting."""

from plugins.style.plugin import Stylist

__all__ = ["Stylist"]
