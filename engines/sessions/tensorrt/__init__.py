"""TensorRT and TensorRT for RTX on NVIDIA GPUs: building, verifying and running engines."""
