"""Face recognition: finds faces, computes embeddings and compares them with a gallery."""

from sightd.plugins.face.plugin import FaceRecogniser

__all__ = ["FaceRecogniser"]
