"""Image files, which may be damaged or hostile: parsing, and decoding in a separate process."""
