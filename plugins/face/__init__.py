"""Face recognition: finds faces, computes embeddings and compares them with a gallery."""
