"""Networks on NVIDIA GPUs with TensorRT or TensorRT for RTX: building engines, trusting them, running them."""
