"""Measures events: how soon they arrive."""
