"""Collects the frames of cameras that are most worth labelling."""
