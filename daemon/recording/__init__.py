"""Records what cameras send, without re-encoding: clips of events, from before they happened."""
