"""The running process: capture, scheduling, rendering, streaming, web, metrics. Knows everything, holds no mathematics."""
