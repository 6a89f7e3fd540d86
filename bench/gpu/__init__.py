"""What a GPU does with this project's kernels and engines: see bench/README.md."""
