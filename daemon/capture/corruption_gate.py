"""Decides which decoded frames may be shown: none from damage up to the next key frame."""

from __future__ import annotations


class CorruptionGate:
    """Corruption gate that lets intact frames through. After damage, every frame depends on a broken one until a key
    frame comes.

    A camera with very rare key frames would stay dark for long, so intact frames pass again `patience` seconds after
    the damage, with whatever artefacts are left in them.
    """

    def __init__(self, patience: float = 4.0) -> None:
        self._patience = patience
        self._damaged_at: float | None = None

    def damaged(self, now: float) -> None:
        """Records that data was lost or could not be decoded."""
        if self._damaged_at is None:
            self._damaged_at = now

    def passes(self, *, corrupt: bool, key: bool, now: float) -> bool:
        """Returns whether a frame may be shown. `corrupt`: the decoder marked it as damaged; `key`: it can be decoded
        on its own."""
        if corrupt:
            self.damaged(now)
            return False
        if key or (self._damaged_at is not None and now - self._damaged_at > self._patience):
            self._damaged_at = None
        return self._damaged_at is None
