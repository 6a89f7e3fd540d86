"""Image classification: what a frame shows, or what kind of thing each object is."""

from sightd.plugins.classifier.plugin import Classifier

__all__ = ["Classifier"]
