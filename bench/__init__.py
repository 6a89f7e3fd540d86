<<<<<<< HEAD
"""Benchmarks that print ratios, one package a subject."""
=======
"""Benchmarks that print ratios, one command each."""
>>>>>>> main
