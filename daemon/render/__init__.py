"""Drawing on pictures: boxes, labels, trails, the status line and the slate of a lost camera."""
