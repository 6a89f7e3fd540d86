"""The process in which untrusted still images are decoded: `python -m plugins.still_decoder FD MEMORY`.

It answers requests of its parent over the socket FD: eight bytes of length and a file's content come in; a line of JSON
and, if the image was decoded, its pixels BGR uint8 go out. It ends when the parent closes the socket. OpenCV takes its
limit of pixels from the environment, and MEMORY more bytes of address space than it has at the start are all it may
take: a file can cost this process its life and no more.
"""

from __future__ import annotations

import json
import resource
import socket
import sys

import cv2
import numpy as np

PIXEL_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""Environment variable, read by OpenCV when it is loaded."""
LENGTH_BYTES = 8
_CPU_S = 60
"""Of one image."""


def receive(connection: socket.socket, size: int) -> bytearray | None:
    """So many bytes; None if the other end closes before. TimeoutError after the socket's own timeout."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = connection.recv_into(view[done:])
        if not count:
            return None
        done += count
    return data


def main(descriptor: int, memory: int) -> None:
    cv2.setNumThreads(1)
    _limit_memory(memory)
    with socket.socket(fileno=descriptor) as connection:
        while (header := receive(connection, LENGTH_BYTES)) is not None:
            _limit_cpu()
            data = receive(connection, int.from_bytes(header, "big"))
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


def _limit_cpu() -> None:
    """From now on `_CPU_S` more seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + _CPU_S, most))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
