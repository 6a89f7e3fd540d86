"""Tests of plugins.face.gallery."""
