"""Styles of one's own: the style network learns a painting. Needs PyTorch (the extra `train`); nothing else does."""
