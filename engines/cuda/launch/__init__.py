"""The host side of the kernels: packs arguments, chooses grids and launches. Each launcher belongs to one GPU
pipeline."""
