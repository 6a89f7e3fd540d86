"""CUDA for the engines: memory, streams, kernels and graphs. Nothing here needs a GPU, or PyCUDA, to be imported."""
