"""Custom styles: the style model learns a painting. Needs PyTorch (the extra `train`), as nothing else does."""
