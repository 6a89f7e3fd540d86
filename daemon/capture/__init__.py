"""Frames from cameras: one thread a camera that opens, decodes, stamps, and comes back after every fault."""
