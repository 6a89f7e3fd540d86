"""Faces: found, looked at, recognised by their likeness to those of a gallery."""
