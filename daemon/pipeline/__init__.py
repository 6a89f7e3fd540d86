"""The path of a frame from its slot to the image shown: who analyses it, when, and who waits for whom."""
