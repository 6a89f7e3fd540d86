"""How a network runs: model catalogue, fetch, convert, sessions. Knows tensors, not frames."""
