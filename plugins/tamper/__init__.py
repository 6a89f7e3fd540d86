"""Notices that a camera was covered, defocused or moved.

`look` measures a frame, `machine` decides what has happened to the camera, `plugin` keeps one state per camera.
"""
