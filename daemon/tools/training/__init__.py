"""Custom models: a classifier trained from folders of images, a style learnt from a painting."""
