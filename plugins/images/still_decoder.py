"""The process that decodes untrusted still images: `python -m sightd.plugins.images.still_decoder FD PIXELS`.

Serves requests of the parent over the socket FD: an eight-byte length (big-endian) and the file's content come in; a
line of JSON and, if decoding succeeded, the pixels as BGR uint8 go out. Exits when the parent closes the socket. OpenCV
reads the PIXELS limit from the environment as well. The address space is limited to what an image of PIXELS pixels
needs, and the CPU time by PIXELS and the file size, so a malicious file can at worst kill this process.
"""

from __future__ import annotations

import json
import math
import resource
import socket
import sys

import cv2
import numpy as np

PIXEL_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""Environment variable that OpenCV reads when it is loaded."""
LENGTH_BYTES = 8
_BYTES_PER_PIXEL = 12
"""Memory per pixel: the colour image, the decoder's own copies, and a rotated copy."""
_CPU_S = 3.0
"""Base CPU time limit per image, in s; more is added according to its size."""
_CPU_S_PER_PIXEL = 0.15e-6
"""Added per pixel of the limit, not of the image. PNG, WebP, AVIF, TIFF and GIF need a third of this, JPEG 2000 half, a
JPEG with 100 scans two thirds."""
_CPU_S_PER_BYTE = 0.8e-6
"""Added per byte of the file. JPEG 2000 needs a third of this."""
_MOST_CPU_S = 60.0


def receive(connection: socket.socket, size: int) -> bytearray | None:
    """Reads exactly `size` bytes; None if the peer closes first. Raises TimeoutError after the socket's own timeout."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = connection.recv_into(view[done:])
        if not count:
            return None
        done += count
    return data


def main(descriptor: int, pixels: int) -> None:
    cv2.setNumThreads(1)
    _limit_memory(pixels * _BYTES_PER_PIXEL)
    with socket.socket(fileno=descriptor) as connection:
        while (header := receive(connection, LENGTH_BYTES)) is not None:
            size = int.from_bytes(header, "big")
            _limit_cpu(min(_MOST_CPU_S, _CPU_S + _CPU_S_PER_PIXEL * pixels + _CPU_S_PER_BYTE * size))
            data = receive(connection, size)
            if data is None:
                return
            _answer(connection, data)


def _answer(connection: socket.socket, data: bytearray) -> None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        fault = "pixels" if "CV_IO_MAX_IMAGE" in str(error) else "memory" if "memory" in str(error) else "damaged"
        connection.sendall(json.dumps({"fault": fault}).encode() + b"\n")
        return
    if image is None:
        connection.sendall(json.dumps({"fault": "damaged"}).encode() + b"\n")
        return
    height, width = image.shape[:2]
    connection.sendall(json.dumps({"height": height, "width": width}).encode() + b"\n")
    connection.sendall(np.ascontiguousarray(image, np.uint8).data.cast("B"))


def _limit_memory(memory: int) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: float) -> None:
    """Allows `seconds` more of CPU time from now on. SIGXCPU kills the process if it needs more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime + seconds), most))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
