"""Quantises models to int8: Q/DQ nodes with ranges measured on the user's own images."""

from sightd.engines.quantize.quantizer import quantize

__all__ = ["quantize"]
