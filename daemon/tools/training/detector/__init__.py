"""Trains detectors of the YOLOX family on a user's own objects."""
