"""Tests of the ONNX Runtime sessions."""
