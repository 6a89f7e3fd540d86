"""Benchmarks that print ratios, one package a subject."""
