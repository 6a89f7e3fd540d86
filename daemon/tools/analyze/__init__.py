"""Runs the same plug-ins over files: no frame dropped, nothing predicted, one line of JSON per frame."""
