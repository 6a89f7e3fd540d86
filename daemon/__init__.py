"""The running process: capture, scheduling, rendering, streaming, web, metrics; it holds no mathematics."""
