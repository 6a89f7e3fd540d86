"""Asks a vision language model for one sentence about events and objects, by HTTP and never in the live path."""
