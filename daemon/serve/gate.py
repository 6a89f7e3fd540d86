"""Which packets a stream's viewers get, and when the encoder owes them a key frame. No I/O, no locks."""

from __future__ import annotations


class Gate:
    """Decides, packet by packet, for one camera.

    Nobody there: nothing passes. A media that is being prepared, or whose viewers all pause, gets key frames only: it
    needs one to describe itself, and whatever it has queued when it starts can be decoded. Once somebody plays, packets
    pass from the next key frame on. A late joiner asks for a key frame and holds nobody up.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._playing = False
        self._needs_key = True
        self._key_request = False

    def opened(self) -> None:
        """A new media was made: somebody is about to watch."""
        self.wanted, self._playing = True, False
        self._ask()

    def closed(self) -> None:
        """The media is gone, and with it the last viewer."""
        self.wanted, self._playing, self._key_request = False, False, False

    def played(self) -> None:
        """A viewer started to play: the first one, or one who joins late."""
        if self._playing:
            self._key_request = True
        else:
            self._playing = True
            self._ask()

    def paused(self) -> None:
        """The last of those who played left or paused."""
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
        """Packets were left out, and from now on no more: none is of use before a key frame, which is wanted."""
        self._ask()

    @property
    def playing(self) -> bool:
        """Whether somebody plays."""
        return self._playing

    def take_key_request(self) -> bool:
        """True once for each time a key frame came to be wanted."""
        asked, self._key_request = self._key_request, False
        return asked

    def _ask(self) -> None:
        self._needs_key = self._key_request = True
