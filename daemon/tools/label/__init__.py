"""Labelled frames: datasets of a user's own objects, in sightd's own form, as COCO JSON and as YOLO folders."""
