"""Moves cameras: on request, with a limit of time for each move, and to follow objects."""
