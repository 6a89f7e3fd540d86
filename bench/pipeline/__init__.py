"""What the pipeline costs and how late its pictures are: `python -m bench.pipeline`."""
