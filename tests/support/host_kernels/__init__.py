"""The CUDA kernels on the host: compiled by g++, launched through the same interface as on the driver."""
