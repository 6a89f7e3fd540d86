"""Prevents a camera from crashing GStreamer's RTSP client, and with it the daemon, by a challenge without parameters.

rtspsrc (GStreamer 1.22) dereferences a null pointer if a camera answers 401 with a bare `WWW-Authenticate: Digest`. The
plug-in's reference to the challenge parser is therefore redirected to a function that gives such a challenge an empty
parameter list. No public interface can do that: `before-send` sees only requests; an RTSP extension (`after_send`) and
a DESCRIBE of our own see answers, but not those that rtspsrc reads while it plays over UDP, which it also treats as
challenges; a relay would pass every byte of every camera through Python.

Redirecting memory depends on the plug-in's file and on a C structure. `install` verifies all of it and changes nothing
if anything differs: the file is the one that is mapped, its reference points to that parser, and the parser shows the
fault and returns the structure as declared here. The page is writable only while the reference is replaced. If the
guard cannot be installed, a warning is logged and RTSP cameras are read by FFmpeg.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SYMBOL = b"gst_rtsp_message_parse_auth_credentials"
_ELF = b"\x7fELF\x02\x01"
_LOAD, _DYNAMIC = 1, 2
"""Program header types (ELF)."""
_STRINGS, _SYMBOLS, _RELOCATIONS, _RELOCATIONS_SIZE, _PLT_SIZE, _PLT = 5, 6, 7, 8, 2, 23
"""Tags of the dynamic section."""
_RELOCATION, _SYMBOL_SIZE = 24, 24
_READ_WRITE, _EXECUTE = 3, 4
"""PROT_READ | PROT_WRITE, and PROT_EXEC."""
_RIGHTS = {"r": 1, "w": 2, "x": 4}
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_LIBRARY = "libgstrtsp-1.0.so.0"
_DIGEST, _WWW_AUTHENTICATE = 2, 39
"""GST_RTSP_AUTH_DIGEST and GST_RTSP_HDR_WWW_AUTHENTICATE."""


class GuardError(Exception):
    """rtspsrc cannot be guarded; the message says why."""


class _Credential(ctypes.Structure):
    """GstRTSPAuthCredential: `params` is a null-terminated list of pointers."""

    _fields_ = (("scheme", ctypes.c_int), ("params", ctypes.c_void_p), ("authorization", ctypes.c_void_p))


_Credentials = ctypes.POINTER(ctypes.POINTER(_Credential))
_Parser = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@functools.cache
def install(plugin: Path) -> bool:
    """Redirects the reference in `plugin`, the library of rtspsrc, which must be loaded and is never unloaded. Runs
    once per process.

    Returns False if the parser of this GStreamer needs no guard. Raises GuardError if the guard cannot be installed;
    unless memory could not be protected again, nothing was changed then.
    """
    original = _original()
    if not _is_faulty(original):
        return False
    try:
        slot, mapped = _slot(plugin.read_bytes()), _mapped(plugin)
    except (OSError, struct.error, KeyError, StopIteration) as error:
        raise GuardError(f"{plugin} cannot be read as a library: {type(error).__name__}") from error
    if slot is None or not mapped:
        raise GuardError(f"{plugin} has no reference to {_SYMBOL.decode()}")
    at = mapped[0].begin + slot
    protection = next((part.protection for part in mapped if part.begin <= at <= part.end - _POINTER), None)
    if protection is None:
        raise GuardError(f"the reference of {plugin} is out of bounds")
    current = ctypes.c_void_p.from_address(at).value or 0
    own_code = any(part.begin <= current < part.end and part.protection & _EXECUTE for part in mapped)
    if current != _address(original) and not own_code:  # own code: a stub that resolves the function on its first call
        raise GuardError(f"the reference of {plugin} was changed by another library")
    _replace(at, protection, _address(_parser()))
    return True


def _replace(at: int, protection: int, value: int) -> None:
    """Writes a pointer to memory with that protection, and restores the protection afterwards."""
    page = mmap.PAGESIZE
    begin, end = at // page * page, at + _POINTER
    libc = ctypes.CDLL(None, use_errno=True)

    def protect(protection: int) -> int:
        changed: int = libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), protection)
        return changed

    if protect(protection | _READ_WRITE):
        raise GuardError(f"memory cannot be made writable: {os.strerror(ctypes.get_errno())}")
    slot = ctypes.c_void_p.from_address(at)
    before, slot.value = slot.value, value
    if protect(protection):
        slot.value = before  # still writable
        raise GuardError(f"memory cannot be made read-only again: {os.strerror(ctypes.get_errno())}")


def _is_faulty(parser: Any) -> bool:
    """Returns whether the parser returns no parameter list for a bare challenge. Raises GuardError if its result for a
    usual one is not as declared here."""
    usual, bare = _parsed(parser, b'Digest realm="a"'), _parsed(parser, b"Digest")
    if len(usual) != 1 or usual[0][0] != _DIGEST or not usual[0][1] or [scheme for scheme, _ in bare] != [_DIGEST]:
        raise GuardError("GStreamer's challenge parser returns a different structure than GStreamer 1.22")
    return not bare[0][1]


def _parsed(parser: Any, challenge: bytes) -> list[tuple[int, bool]]:
    """Returns the scheme of each challenge in a header, and whether it has a parameter list."""
    rtsp = ctypes.CDLL(_LIBRARY)
    message = ctypes.c_void_p()
    if rtsp.gst_rtsp_message_new_response(ctypes.byref(message), 401, b"Unauthorized", None):
        raise GuardError("GStreamer could not create an RTSP message")
    try:
        rtsp.gst_rtsp_message_add_header(message, _WWW_AUTHENTICATE, challenge)
        found = parser(message, _WWW_AUTHENTICATE)
        if not found:
            return []
        credentials = ctypes.cast(found, _Credentials)
        schemes = [(one.contents.scheme, bool(one.contents.params)) for one in _until_null(credentials)]
        freed = rtsp.gst_rtsp_auth_credentials_free
        freed.argtypes = (ctypes.c_void_p,)
        freed(found)
        return schemes
    finally:
        rtsp.gst_rtsp_message_free(message)


def _until_null(credentials: Any) -> Iterator[Any]:
    return itertools.takewhile(bool, (credentials[index] for index in itertools.count()))


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@functools.cache
def _original() -> Any:
    original = ctypes.CDLL(_LIBRARY).gst_rtsp_message_parse_auth_credentials
    original.restype, original.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int)
    return original


@functools.cache
def _parser() -> Any:
    """Returns the replacement parser. Cached, because GStreamer calls it for as long as the process lives."""
    original = _original()
    allocated = ctypes.CDLL("libglib-2.0.so.0").g_malloc0
    allocated.restype, allocated.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)

    def parsed(message: int, field: int) -> int | None:
        found: int | None = original(message, field)
        if not found:
            return None
        for credential in _until_null(ctypes.cast(found, _Credentials)):
            if not credential.contents.params:  # GStreamer frees it
                credential.contents.params = allocated(_POINTER)
        return found

    return _Parser(parsed)


def _slot(library: bytes) -> int | None:
    """Returns the offset from a library's load address at which it stores the address of `_SYMBOL`. None if it has no
    such slot, or is not a 64-bit little-endian ELF file."""
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


@dataclass(frozen=True, slots=True)
class _Mapping:
    """A part of the address space, and its protection as mprotect takes it."""

    begin: int
    end: int
    protection: int


def _mapped(library: Path) -> list[_Mapping]:
    """Returns the memory mappings of that file in order, the first one from the beginning of the file. Empty if it is
    not loaded or was replaced since, for example by a package upgrade."""
    found: list[_Mapping] = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        address, rights, offset, _, _, *path = line.split(maxsplit=5)
        if path != [str(library.resolve())]:  # for a replaced file, " (deleted)" follows
            continue
        if not found and int(offset, 16) != 0:
            return []
        begin, end = (int(part, 16) for part in address.split("-"))
        found.append(_Mapping(begin, end, sum(bit for sign, bit in _RIGHTS.items() if sign in rights)))
    return found
