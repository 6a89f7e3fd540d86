"""Tests of plugins.face.matching."""
