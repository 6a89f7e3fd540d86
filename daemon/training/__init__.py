"""Networks of one's own: a classifier from folders of pictures, a style from a painting."""
