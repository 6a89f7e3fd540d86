"""Decides which packets viewers get and when the encoder must produce a key frame. No I/O, no locks."""

from __future__ import annotations


class KeyframeGate:
    """Decides packet by packet, for one camera.

    Without viewers, nothing passes. While a media is being prepared, or all its viewers pause, only key frames pass: it
    needs one to describe itself, and whatever is queued when it starts can be decoded. Once a viewer plays, packets
    pass from the next key frame on. A viewer who joins later requests a key frame and delays nobody.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._playing = False
        self._needs_key = True
        self._key_request = False

    def opened(self) -> None:
        """A new media was created: a viewer is about to watch."""
        self.wanted, self._playing = True, False
        self._ask()

    def closed(self) -> None:
        """The media has ended, and the last viewer has left."""
        self.wanted, self._playing, self._key_request = False, False, False

    def played(self) -> None:
        """A viewer started to play, either the first or a later one."""
        if self._playing:
            self._key_request = True
        else:
            self._playing = True
            self._ask()

    def paused(self) -> None:
        """The last playing viewer left or paused."""
        self._playing = False

    def admit(self, keyframe: bool) -> bool:
        """Whether this packet goes to the viewers."""
        if not self.wanted:
            return False
        if keyframe:
            self._needs_key = False
            return True
        return self._playing and not self._needs_key

    def goes_on(self) -> None:
        """Packets were dropped and delivery resumes: nothing is decodable before a key frame, which is requested."""
        self._ask()

    @property
    def playing(self) -> bool:
        """Whether any viewer is playing."""
        return self._playing

    def take_key_request(self) -> bool:
        """Returns True once per key frame request."""
        asked, self._key_request = self._key_request, False
        return asked

    def _ask(self) -> None:
        self._needs_key = self._key_request = True
