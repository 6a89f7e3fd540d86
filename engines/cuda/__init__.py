"""CUDA for the engines: memory, streams, kernels and graphs. Importing these modules needs neither a GPU nor PyCUDA."""
