"""Plug-ins in processes of their own: what crosses over, how such a process is kept, who stands for it here."""
