"""Compares face embeddings: thresholds, evidence from tracks, search in a gallery, clusters of unknown persons."""
