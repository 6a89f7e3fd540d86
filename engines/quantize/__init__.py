"""Networks in int8: Q/DQ nodes whose ranges are measured on the user's own pictures."""

from sightd.engines.quantize.quantizer import quantize

__all__ = ["quantize"]
