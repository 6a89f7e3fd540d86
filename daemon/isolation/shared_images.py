"""Images in memory that two processes share: one copy in, none out.

The memory is an anonymous file (memfd_create(2)). It has no name that could be left behind, and is freed with the last
process that holds it, however that ends.
"""

from __future__ import annotations

import mmap
import os
import weakref

import numpy as np

from sightd.plugins.api import Image


class SharedImageWriter:
    """The writer's side: memory for one image at a time, allocated again for a larger one. One thread."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._image: Image | None = None

    def put(self, image: Image) -> int | None:
        """Copies an image in. If the memory is new, returns its file descriptor, to be sent and then closed."""
        if self._memory is not None and image.nbytes <= len(self._memory):
            self._copy(self._memory, image)
            return None
        file = os.memfd_create("sightd-picture")
        try:
            os.ftruncate(file, image.nbytes)
            self._memory = mmap.mmap(file, image.nbytes)
            self._copy(self._memory, image)
        except BaseException:
            os.close(file)
            raise
        return file

    def back(self) -> Image:
        """Returns the image as the other side left it."""
        assert self._image is not None
        return self._image

    def leave(self) -> None:
        """Gives the memory to the other side, which keeps the image; the next one gets other memory."""
        self._memory = self._image = None

    def _copy(self, memory: mmap.mmap, image: Image) -> None:
        self._image = np.frombuffer(memory, np.uint8, image.size).reshape(image.shape)
        np.copyto(self._image, image)


class SharedImageReader:
    """The reader's side. `writable`: what is written is seen on the other side."""

    def __init__(self, *, writable: bool = False) -> None:
        self._access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._memory: mmap.mmap | None = None
        self._shown: weakref.ref[Image] | None = None

    def show(self, shape: tuple[int, ...], file: int | None) -> Image:
        """Returns a view of the image that was put in. Takes ownership of `file`, the descriptor of new memory, if
        any."""
        if file is not None:
            try:
                self._memory = mmap.mmap(file, 0, access=self._access)
            finally:
                os.close(file)
        assert self._memory is not None
        flat = np.frombuffer(self._memory, np.uint8, int(np.prod(shape)))
        self._shown = weakref.ref(flat)
        return flat.reshape(shape)

    def is_held(self) -> bool:
        """Whether anybody still holds the image or a part of it: every view of an array holds that array. If so, the
        memory is theirs from then on."""
        held = self._shown is not None and self._shown() is not None
        self._shown = None
        if held:
            self._memory = None
        return held
