"""How many small and far persons a detector finds and keeps in each mode of `look:`, and the cost."""
