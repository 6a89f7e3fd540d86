"""Tests of loading models."""
