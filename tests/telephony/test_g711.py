"""G.711 against ITU-T G.191: whole tables by hash, and vectors a person can read."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from telephony.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw

Encode = Callable[[NDArray[np.int16]], NDArray[np.uint8]]
Decode = Callable[[NDArray[np.uint8]], NDArray[np.int16]]

ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
ALL_CODES = np.arange(256).astype(np.uint8)

# Over all samples ascending (65,536 bytes) and over all codes (256 little-endian words): the same bytes as
# the G.191 software tool library makes, whose sweep-r.u and sweep-r.a these tables reproduce.
MULAW_CODES_SHA256 = "90c29de505fb68e766118303bd552a16005dcf810873698bee1d8f3b247ce28c"
ALAW_CODES_SHA256 = "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b"
MULAW_SAMPLES_SHA256 = "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"
ALAW_SAMPLES_SHA256 = "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"

MULAW_VECTORS = [
    (0, 0xFF),
    (3, 0xFF),
    (4, 0xFE),
    (11, 0xFE),
    (12, 0xFD),
    (100, 0xF2),
    (123, 0xF0),
    (124, 0xEF),
    (1000, 0xCE),
    (10000, 0x9C),
    (16000, 0x90),
    (20000, 0x8C),
    (31610, 0x81),
    (32123, 0x80),
    (32767, 0x80),
    (-1, 0x7F),
    (-4, 0x7F),
    (-5, 0x7E),
    (-9, 0x7E),
    (-100, 0x73),
    (-1000, 0x4E),
    (-10000, 0x1C),
    (-32768, 0x00),
]
MULAW_DECODED = [
    (0xFF, 0),
    (0xFE, 8),
    (0xFD, 16),
    (0xF2, 104),
    (0xF0, 120),
    (0xEF, 132),
    (0xCE, 988),
    (0x9C, 9852),
    (0x90, 15996),
    (0x8C, 19836),
    (0x81, 31100),
    (0x80, 32124),
    (0x7F, 0),
    (0x7E, -8),
    (0x73, -96),
    (0x4E, -988),
    (0x00, -32124),
]
ALAW_VECTORS = [
    (0, 0xD5),
    (100, 0xD3),
    (1000, 0xFA),
    (10000, 0xB6),
    (16000, 0xBA),
    (32767, 0xAA),
    (-1, 0x55),
    (-1000, 0x7A),
    (-32768, 0x2A),
]
ALAW_DECODED = [
    (0xD5, 8),
    (0xD3, 104),
    (0xFA, 1008),
    (0xB6, 9984),
    (0xBA, 16128),
    (0xAA, 32256),
    (0x55, -8),
    (0x2A, -32256),
]


def sha256(values: NDArray[np.generic]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("encode", "expected"), [(encode_mulaw, MULAW_CODES_SHA256), (encode_alaw, ALAW_CODES_SHA256)]
)
def test_every_sample_has_the_code_of_g191(encode: Encode, expected: str) -> None:
    assert sha256(encode(ALL_SAMPLES)) == expected


@pytest.mark.parametrize(
    ("decode", "expected"), [(decode_mulaw, MULAW_SAMPLES_SHA256), (decode_alaw, ALAW_SAMPLES_SHA256)]
)
def test_every_code_has_the_sample_of_g191(decode: Decode, expected: str) -> None:
    assert sha256(decode(ALL_CODES).astype("<i2")) == expected


@pytest.mark.parametrize(("sample", "code"), MULAW_VECTORS)
def test_mulaw_encodes_the_written_vectors(sample: int, code: int) -> None:
    assert encode_mulaw(np.array([sample], np.int16)).tolist() == [code]


@pytest.mark.parametrize(("code", "sample"), MULAW_DECODED)
def test_mulaw_decodes_the_written_vectors(code: int, sample: int) -> None:
    assert decode_mulaw(np.array([code], np.uint8)).tolist() == [sample]


@pytest.mark.parametrize(("sample", "code"), ALAW_VECTORS)
def test_alaw_encodes_the_written_vectors(sample: int, code: int) -> None:
    assert encode_alaw(np.array([sample], np.int16)).tolist() == [code]


@pytest.mark.parametrize(("code", "sample"), ALAW_DECODED)
def test_alaw_decodes_the_written_vectors(code: int, sample: int) -> None:
    assert decode_alaw(np.array([code], np.uint8)).tolist() == [sample]


@pytest.mark.parametrize(
    ("decode", "milliwatt", "rms", "dbov"),
    [(decode_mulaw, "1E0B0B1E9E8B8B9E", 16017, -6.22), (decode_alaw, "342121 34B4A1A1B4", 16139, -6.15)],
)
def test_the_digital_milliwatt_has_its_level(decode: Decode, milliwatt: str, rms: int, dbov: float) -> None:
    # G.711 tables 5 and 6: a 1 kHz sine of 0 dBm0, as eight codes.
    samples = decode(np.frombuffer(bytes.fromhex(milliwatt), np.uint8)).astype(float)
    measured = np.sqrt(np.mean(samples**2))
    assert round(measured) == rms
    assert 20 * np.log10(measured / 32768) == pytest.approx(dbov, abs=0.01)


@pytest.mark.parametrize(("encode", "decode"), [(encode_mulaw, decode_mulaw), (encode_alaw, decode_alaw)])
def test_encoding_what_was_decoded_gives_the_code_again(encode: Encode, decode: Decode) -> None:
    again = encode(decode(ALL_CODES))
    # Mu-law writes zero twice; the negative one decodes to 0 and comes back as the positive one.
    negative_zero = encode is encode_mulaw
    expected = np.where((ALL_CODES == 0x7F) & negative_zero, 0xFF, ALL_CODES)
    assert again.tolist() == expected.tolist()


@pytest.mark.parametrize("encode", [encode_mulaw, encode_alaw])
def test_encoding_keeps_shape_and_takes_strided_samples(encode: Encode) -> None:
    frames = ALL_SAMPLES.reshape(256, 256)
    assert encode(frames).shape == (256, 256)
    assert encode(ALL_SAMPLES[::3]).tolist() == encode(ALL_SAMPLES).tolist()[::3]
    assert encode(ALL_SAMPLES[:0]).tolist() == []
