"""Work that stays on one GPU from upload to download: detection, faces, style and drawing."""
