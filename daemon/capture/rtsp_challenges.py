"""Keeps a camera from crashing GStreamer's RTSP client, and the daemon with it, by a challenge without parameters.

rtspsrc (GStreamer 1.22) follows a null pointer if a camera answers 401 with a bare `WWW-Authenticate: Digest`. Answers
cannot be seen before rtspsrc reads them, so the plug-in's reference to the parser of challenges is redirected to a
function that gives such a challenge an empty list of parameters.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
from pathlib import Path
from typing import Any

_SYMBOL = b"gst_rtsp_message_parse_auth_credentials"
_ELF = b"\x7fELF\x02\x01"
_LOAD, _DYNAMIC = 1, 2
"""Types of program headers (ELF)."""
_STRINGS, _SYMBOLS, _RELOCATIONS, _RELOCATIONS_SIZE, _PLT_SIZE, _PLT = 5, 6, 7, 8, 2, 23
"""Tags of the dynamic section."""
_RELOCATION, _SYMBOL_SIZE = 24, 24
_READ_WRITE = 3
"""PROT_READ and PROT_WRITE."""


class _Credential(ctypes.Structure):
    """GstRTSPAuthCredential: `params` is a list of pointers that ends with a null pointer."""

    _fields_ = (("scheme", ctypes.c_int), ("params", ctypes.c_void_p), ("authorization", ctypes.c_void_p))


_Credentials = ctypes.POINTER(ctypes.POINTER(_Credential))
_Parser = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@functools.cache
def install(plugin: Path) -> bool:
    """Redirects the reference of `plugin`, rtspsrc's library, which is loaded. Once per process; the library is never
    unloaded. False if it has no such reference, so that nothing was changed."""
    slot, base = _slot(plugin.read_bytes()), _base(plugin)
    if slot is None or base is None:
        return False
    page = mmap.PAGESIZE
    begin, end = (base + slot) // page * page, base + slot + ctypes.sizeof(ctypes.c_void_p)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _READ_WRITE):
        return False
    ctypes.c_void_p.from_address(base + slot).value = ctypes.cast(_parser(), ctypes.c_void_p).value
    return True


@functools.cache
def _parser() -> Any:
    """Kept: GStreamer calls it for as long as the process lives."""
    original = ctypes.CDLL("libgstrtsp-1.0.so.0").gst_rtsp_message_parse_auth_credentials
    original.restype, original.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)
    allocated = ctypes.CDLL("libglib-2.0.so.0").g_malloc0
    allocated.restype, allocated.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)

    def parsed(message: int, field: int) -> int | None:
        found: int | None = original(message, field)
        if not found:
            return None
        credentials, index = ctypes.cast(found, _Credentials), 0
        while credentials[index]:
            if not credentials[index].contents.params:  # GStreamer frees it
                credentials[index].contents.params = allocated(ctypes.sizeof(ctypes.c_void_p))
            index += 1
        return found

    return _Parser(parsed)


def _slot(library: bytes) -> int | None:
    """Where a library keeps the address of `_SYMBOL`, counted from where it is loaded. None if it has no such place, or
    is no ELF file of 64 bits, little-endian."""
    if not library.startswith(_ELF):
        return None
    (headers_at,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    headers = [struct.unpack_from("<IIQQQQ", library, headers_at + n * size) for n in range(count)]
    segments = [(address, offset, length) for kind, _, offset, address, _, length in headers if kind == _LOAD]

    def offset_of(address: int) -> int:
        return int(next(offset + address - at for at, offset, length in segments if at <= address < at + length))

    at, length = next((offset, length) for kind, _, offset, _, _, length in headers if kind == _DYNAMIC)
    stated = dict(struct.iter_unpack("<QQ", library[at : at + length]))
    strings, symbols = offset_of(stated[_STRINGS]), offset_of(stated[_SYMBOLS])
    for table, size_of_table in ((_PLT, _PLT_SIZE), (_RELOCATIONS, _RELOCATIONS_SIZE)):
        if table not in stated:
            continue
        begin = offset_of(stated[table])
        entries = library[begin : begin + stated[size_of_table] // _RELOCATION * _RELOCATION]
        for slot, info, _ in struct.iter_unpack("<QQq", entries):
            name_at = strings + struct.unpack_from("<I", library, symbols + (info >> 32) * _SYMBOL_SIZE)[0]
            if library.startswith(_SYMBOL + b"\0", name_at):
                return int(slot)
    return None


def _base(library: Path) -> int | None:
    """Where the file is loaded; None if it is not."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        address, _, offset, _, _, *path = line.split(maxsplit=5)
        if path and Path(path[0]) == library.resolve() and int(offset, 16) == 0:
            return int(address.partition("-")[0], 16)
    return None
