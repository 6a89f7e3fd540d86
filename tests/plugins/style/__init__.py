"""Tests of plugins.style."""
