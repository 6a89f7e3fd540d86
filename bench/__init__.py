"""Benchmarks that print ratios, one command each."""
