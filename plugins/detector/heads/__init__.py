"""The decoders of detection heads, one module per model family."""
