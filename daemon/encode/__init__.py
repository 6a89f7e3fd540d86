"""Encodes images as H.264 and JPEG."""
