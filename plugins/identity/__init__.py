"""Gives objects identities that are the same on all cameras of a group.

`gallery` decides which tracks are the same object, and `plugin` feeds it and publishes the identities.
"""
