"""Benchmarks of this project's kernels and engines on a GPU; see bench/README.md."""
