"""Boxes and polygons: non-maximum suppression and regions of interest."""
