"""The way of a frame between its slot and the picture shown: who analyses it, when, and who waits for whom."""
