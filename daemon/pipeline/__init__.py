"""The path of a frame from its slot to the image shown: scheduling of analysis, prediction and output."""
