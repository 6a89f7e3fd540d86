"""Which decoded frames are fit to be shown: none between damage and the next key frame."""

from __future__ import annotations


class DamageGate:
    """Lets whole frames through. After damage every picture leans on a broken one until a key frame comes.

    A camera with very rare key frames would stay dark for long: after `patience` seconds whole frames pass again, with
    whatever traces are left in them.
    """

    def __init__(self, patience: float = 4.0) -> None:
        self._patience = patience
        self._damaged_at: float | None = None

    def damaged(self, now: float) -> None:
        """Data were lost or could not be decoded."""
        if self._damaged_at is None:
            self._damaged_at = now

    def passes(self, *, corrupt: bool, key: bool, now: float) -> bool:
        """Whether a frame may be shown. `corrupt`: the decoder says that it is damaged; `key`: it stands alone."""
        if corrupt:
            self.damaged(now)
            return False
        if key or (self._damaged_at is not None and now - self._damaged_at > self._patience):
            self._damaged_at = None
        return self._damaged_at is None
