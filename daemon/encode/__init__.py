<<<<<<< HEAD
"""From pictures to bytes."""
=======
"""Encoding of drawn pictures: H.264 for streams, JPEG for stills."""
>>>>>>> render
