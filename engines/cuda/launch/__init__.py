"""Python's side of the kernels: packs their arguments, chooses grids and launches. One launcher belongs to one lane."""
