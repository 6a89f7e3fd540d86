"""Records what cameras send, without re-encoding, or what viewers see: clips of events, from before they happened."""
