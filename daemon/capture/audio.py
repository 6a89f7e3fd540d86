"""Audio beside a camera's video: formats that are passed on, and packets without what their transport added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import av

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sample rates by index (ISO/IEC 14496-3, table 1.18)."""
_LOW_COMPLEXITY, _ESCAPE = 2, 31
_ADTS_HEADER, _ADTS_WITH_CRC = 7, 9
_MOST_CHANNELS = 2
_G711 = {"PCMA": "pcm_alaw", "PCMU": "pcm_mulaw"}
_OPUS_RATE, _G711_RATE = 48_000, 8_000

Field = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """`codec` is FFmpeg's name: aac, opus, pcm_alaw or pcm_mulaw. `rate` in Hz, `channels` 1 or 2. `configuration` is
    AAC's AudioSpecificConfig, empty for others."""

    codec: str
    rate: int
    channels: int
    configuration: bytes = b""


def audio_of(stream: av.AudioStream) -> AudioFormat | None:
    """Returns the format of a container's stream; None if it is not passed on."""
    context = stream.codec_context
    rate, channels = context.sample_rate, context.channels
    if context.name == "aac":
        stated = aac_format(bytes(context.extradata or b""))
        return stated or _aac_without_configuration(rate, channels)
    if context.name in ("opus", *_G711.values()) and 0 < channels <= _MOST_CHANNELS:
        return AudioFormat(context.name, _OPUS_RATE if context.name == "opus" else rate, channels)
    return None


def described_audio(encoding: str, field: Field) -> AudioFormat | None:
    """Returns the format that a camera's description states; None if it is not passed on. `field` returns the value of
    a parameter (RFC 3640, 7587, 3551)."""
    if encoding == "MPEG4-GENERIC":
        try:
            return aac_format(bytes.fromhex(field("config") or ""))
        except ValueError:
            return None
    if encoding == "OPUS":
        return AudioFormat("opus", _OPUS_RATE, _MOST_CHANNELS)
    if encoding in _G711 and (field("encoding-params") or "1") == "1":
        return AudioFormat(_G711[encoding], _G711_RATE, 1)
    return None


def aac_format(configuration: bytes) -> AudioFormat | None:
    """Returns the format that an AudioSpecificConfig describes; None if it is malformed or has more than two
    channels."""
    bits, size = int.from_bytes(configuration[:8], "big"), 8 * len(configuration[:8])

    def read(first: int, count: int) -> int:
        return bits >> (size - first - count) & (1 << count) - 1 if first + count <= size else 0

    if read(0, 5) == _ESCAPE or read(5, 4) >= len(RATES) or not 0 < read(9, 4) <= _MOST_CHANNELS:
        return None
    return AudioFormat("aac", RATES[read(5, 4)], read(9, 4), configuration)


def without_adts(data: bytes) -> bytes:
    """Returns an AAC frame without the header that MPEG-TS gives it, if it has one."""
    if len(data) < _ADTS_HEADER or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return data
    return data[_ADTS_HEADER if data[1] & 1 else _ADTS_WITH_CRC :]


def _aac_without_configuration(rate: int, channels: int) -> AudioFormat | None:
    """Returns the format of AAC in ADTS, whose configuration is in each frame."""
    if rate not in RATES or not 0 < channels <= _MOST_CHANNELS:
        return None
    configuration = _LOW_COMPLEXITY << 11 | RATES.index(rate) << 7 | channels << 3
    return replace(AudioFormat("aac", rate, channels), configuration=configuration.to_bytes(2, "big"))
