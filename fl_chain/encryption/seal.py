"""The only door to TenSEAL and SEAL: numbers in, numbers out.

What others send never reaches a parser of theirs. Keys and ciphertexts are read as arrays of numbers, each
checked against its modulus, and put into streams of SEAL whose other bytes the installed library wrote.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.encryption.ciphertexts import Residues
from fl_chain.encryption.scheme import DEGREE, KEY_PRIME_BITS, PLAIN_MODULUS
from fl_chain.errors import ExtraMissing, MalformedBlob

_WORDS = np.dtype("<u8")
_HEADER = struct.Struct("<HBBBBHQ")  # magic, header bytes, version twice, compression, reserved, stream bytes
_MAGIC, _UNCOMPRESSED, _ZSTANDARD = 0xA15E, 0, 2
_LENGTH, _EIGHT_BYTES, _VARINT = 2, 1, 0  # wire types of protocol buffers


@dataclass(frozen=True, slots=True)
class _Forms:
    """What the installed library writes around the numbers."""

    parameters: bytes  # a whole stream
    header: tuple[int, ...]
    public_key: bytes
    secret_key: bytes
    ciphertext: bytes
    scale: bytes  # of the context's message: a field that BFV has no use for


def verify_installed() -> None:
    """Check that what makes keys, encrypts and decrypts is there.

    Raises:
        ExtraMissing: if TenSEAL or zstandard is not installed.
    """
    _tenseal()
    _zstandard()


def new_keys() -> tuple[Residues, Residues]:
    """Return a new secret key and a public key for it, drawn by SEAL from the operating system.

    Returns:
        The secret polynomial under both primes, shape (2, `DEGREE`), and the public key's two polynomials,
        shape (2, 2, `DEGREE`); all as values of the number-theoretic transform.

    Raises:
        ExtraMissing: if TenSEAL is not installed.
    """
    public, private = _key_messages(_new_context())
    secret = _numbers(_stream_payload(_first(private, 1)), 2 * DEGREE)
    pair = _numbers(_stream_payload(_first(public, 1)), 4 * DEGREE)
    return secret.reshape(2, DEGREE), pair.reshape(2, 2, DEGREE)


class Encryptor:
    """Encrypts blocks with a public key.

    Args:
        public_key: shape (2, 2, `DEGREE`), each number below its prime.

    Raises:
        ExtraMissing: if TenSEAL is not installed.
    """

    def __init__(self, public_key: Residues) -> None:
        self._context = _context(public_key, None)

    def encrypted(self, values: npt.NDArray[np.int64]) -> Residues:
        """Return the ciphertext of one block, another one each time.

        Args:
            values: shape (`DEGREE`,), in absolute value below half of `PLAIN_MODULUS`.

        Returns:
            Shape (2, `DEGREE`).
        """
        vector = _tenseal().bfv_vector(self._context, values.tolist())
        return ciphertext_numbers(vector.serialize())


class Decryptor:
    """Decrypts blocks with a secret key.

    Args:
        secret_key: shape (2, `DEGREE`), each number below its prime.
        public_key: of the same cohort, shape (2, 2, `DEGREE`).

    Raises:
        ExtraMissing: if TenSEAL is not installed.
    """

    def __init__(self, secret_key: Residues, public_key: Residues) -> None:
        self._context = _context(public_key, secret_key)
        self._native = self._context.data.decryptor()

    def decrypted(self, block: Residues) -> tuple[npt.NDArray[np.int64], int]:
        """Return a block's signed values, and how many bits of noise it could take yet.

        Args:
            block: shape (2, `DEGREE`), below `MODULUS`.

        Returns:
            Shape (`DEGREE`,), and the noise budget; where that is 0 the values mean nothing.
        """
        stream = _stream(_forms().ciphertext, block)
        message = _field(1, _varint(DEGREE)) + _field(2, stream)
        vector = _tenseal().bfv_vector_from(self._context, message)
        budget_bits = int(self._native.invariant_noise_budget(vector.data.ciphertext()[0]))
        return np.array(vector.decrypt(), dtype=np.int64), budget_bits


def ciphertext_numbers(serialized: bytes) -> Residues:
    """Return the numbers of one block that TenSEAL has serialised.

    Args:
        serialized: what ``BFVVector.serialize`` gives, for up to `DEGREE` values.

    Returns:
        Shape (2, `DEGREE`).

    Raises:
        MalformedBlob: if it holds more than one block, or one of more than two polynomials, as a product is.
    """
    blocks = [content for field, content in _fields(serialized) if field == 2]
    if len(blocks) != 1:
        raise MalformedBlob(f"{len(blocks)} blocks where there is one: encrypt {DEGREE} values at a time")
    payload = _stream_payload(blocks[0])
    form = _forms().ciphertext
    if not payload.startswith(form) or len(payload) != len(form) + 2 * DEGREE * _WORDS.itemsize:
        raise MalformedBlob(
            "a ciphertext that encryption does not give, or one that was multiplied: only sums decrypt"
        )
    return _numbers(payload, 2 * DEGREE).reshape(2, DEGREE)


def _context(public_key: Residues, secret_key: Residues | None) -> Any:
    forms = _forms()
    public = _field(1, _stream(forms.public_key, public_key)) + forms.scale
    message = _field(1, forms.parameters) + _field(2, public)
    if secret_key is not None:
        message += _field(3, _field(1, _stream(forms.secret_key, secret_key)))
    return _tenseal().context_from(message, n_threads=1)


@cache
def _forms() -> _Forms:
    context = _new_context()
    parameters = _first(_context_message(context), 1)
    public, private = _key_messages(context)
    vector = _tenseal().bfv_vector(context, [0] * DEGREE)
    return _Forms(
        parameters=parameters,
        header=_HEADER.unpack_from(parameters),
        public_key=_stream_payload(_first(public, 1))[: -4 * DEGREE * _WORDS.itemsize],
        secret_key=_stream_payload(_first(private, 1))[: -2 * DEGREE * _WORDS.itemsize],
        ciphertext=_stream_payload(_first(vector.serialize(), 2))[: -2 * DEGREE * _WORDS.itemsize],
        scale=b"".join(_eight_bytes(*entry) for entry in _fields(public) if len(entry[1]) == 8),
    )


def _new_context() -> Any:
    tenseal = _tenseal()
    return tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        DEGREE,
        PLAIN_MODULUS,
        coeff_mod_bit_sizes=list(KEY_PRIME_BITS),
        n_threads=1,
    )


def _context_message(context: Any) -> bytes:
    return bytes(context.serialize(save_secret_key=True, save_galois_keys=False, save_relin_keys=False))


def _key_messages(context: Any) -> tuple[bytes, bytes]:
    message = _context_message(context)
    return _first(message, 2), _first(message, 3)


@cache
def _tenseal() -> Any:
    try:
        import tenseal
    except ImportError as error:
        raise ExtraMissing(
            "homomorphic encryption needs TenSEAL, which is not installed: pip install 'fl-chain[he]'"
        ) from error
    return tenseal


def _stream(form: bytes, numbers: Residues) -> bytes:
    payload = form + numbers.astype(_WORDS).tobytes()
    magic, size, major, minor, _, reserved, _ = _forms().header
    return _HEADER.pack(magic, size, major, minor, _UNCOMPRESSED, reserved, size + len(payload)) + payload


def _stream_payload(stream: bytes) -> bytes:
    magic, size, _, _, compression, _, total = _HEADER.unpack_from(stream)
    is_known = magic == _MAGIC and size == _HEADER.size and total == len(stream)
    if not is_known or compression not in (_UNCOMPRESSED, _ZSTANDARD):
        raise ExtraMissing(
            "this release of TenSEAL writes what fl_chain does not know: pip install 'tenseal==0.3.18'"
        )
    if compression == _UNCOMPRESSED:
        return stream[size:]
    return bytes(_zstandard().ZstdDecompressor().decompressobj().decompress(stream[size:]))


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ExtraMissing(
            "homomorphic encryption needs zstandard, which is not installed: pip install 'fl-chain[he]'"
        ) from error
    return zstandard


def _numbers(payload: bytes, count: int) -> Residues:
    return np.frombuffer(payload[-count * _WORDS.itemsize :], dtype=_WORDS).astype(np.uint64)


def _first(message: bytes, field: int) -> bytes:
    return next(content for number, content in _fields(message) if number == field)


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Return the fields of a protocol buffer that the library wrote in this process: number and content."""
    found, at = [], 0
    while at < len(message):
        key, at = _read_varint(message, at)
        if key & 7 == _VARINT:
            _, end = _read_varint(message, at)
        elif key & 7 == _EIGHT_BYTES:
            end = at + 8
        else:
            length, at = _read_varint(message, at)
            end = at + length
        found.append((key >> 3, message[at:end]))
        at = end
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(content) + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _eight_bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _EIGHT_BYTES) + content
