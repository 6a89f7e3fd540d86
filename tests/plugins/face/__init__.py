"""Tests of plugins.face."""
