"""Drawing on images: boxes, labels, trails, the status line, and the slate of an offline camera."""
