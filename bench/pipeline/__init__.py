"""Measures the cost of the pipeline and the age of its frames: `python -m bench.pipeline`."""
