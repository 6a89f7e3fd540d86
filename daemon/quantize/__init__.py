"""Converts a model of the catalogue to int8, calibrated on a user's own images, and reports what accuracy it costs."""
