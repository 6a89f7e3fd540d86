"""The CUDA kernels on the host: compiled by g++, launched through the seam that the driver has."""
