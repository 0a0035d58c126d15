"""
Signed notes (c2sp.org/signed-note): a text, an empty line, and lines of Ed25519 signatures, to be checked with a
verifier key that fits into one line.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_KEY_BYTES = 32
_HASH_BYTES = 4
_SIGNATURE_BYTES = 64
_MOST_SIGNATURES = 100
_DASH = "\N{EM DASH} "


class NoteError(ValueError):
    """A note or a verifier key is malformed, or not signed as it should be."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key and the name it signs in; as text, one line."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        """What tells the key from others of the same name."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_HASH_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def signed(self, text: str, signature: bytes) -> bool:
        """True where the signature over the text is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A key that signs notes in a name."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(_checked_name(name), self._private.public_key().public_bytes_raw())

    def line(self, text: str) -> str:
        """The line with the signature over the text."""
        signature = self.verifier.hash + self._private.sign(text.encode())
        return f"{_DASH}{self.verifier.name} {base64.b64encode(signature).decode()}\n"


def read_verifier_key(line: str) -> VerifierKey:
    """
    The verifier key that stands in a line.

    Raises:
        NoteError: where none does.
    """
    name, _, rest = line.partition("+")
    digest, _, material = rest.partition("+")
    raw = strict_base64(material)
    if len(raw) != 1 + _KEY_BYTES or raw[:1] != _ED25519:
        raise NoteError("no Ed25519 verifier key")
    key = VerifierKey(_checked_name(name), raw[1:])
    if key.hash.hex() != digest:
        raise NoteError("a verifier key whose hash is another")
    return key


def sign_note(text: str, keys: Iterable[SigningKey]) -> str:
    """The note: the text with a signature of each key."""
    _check_text(text)
    return f"{text}\n{''.join(key.line(text) for key in keys)}"


def open_note(note: str, known: Sequence[VerifierKey], *, every: bool = False) -> tuple[str, tuple[VerifierKey, ...]]:
    """
    The text of a note and the known keys that signed it, at least one.

    Signatures of keys that are not known say nothing and are passed over, unless `every` one has to be known, and is
    there once.

    Raises:
        NoteError: where the note is malformed, a known key's signature is wrong, or no known key signed it.
    """
    text, gap, block = note.rpartition("\n\n")
    text += "\n"
    if not gap or not block.endswith("\n"):
        raise NoteError("a note without signatures")
    _check_text(text)
    lines = block[:-1].split("\n")
    if len(lines) > _MOST_SIGNATURES:
        raise NoteError("a note with too many signatures")
    found: list[VerifierKey] = []
    for line in lines:
        name, signature = _signature(line)
        key = next((one for one in known if one.name == name and one.hash == signature[:_HASH_BYTES]), None)
        if key is None:
            if every:
                raise NoteError(f"a signature of a key that was not given: {name}+{signature[:_HASH_BYTES].hex()}")
        elif len(signature) != _HASH_BYTES + _SIGNATURE_BYTES or not key.signed(text, signature[_HASH_BYTES:]):
            raise NoteError("a signature that is wrong")
        elif key not in found:
            found.append(key)
        elif every:
            raise NoteError("a signature that is there twice")
    if not found:
        raise NoteError("no signature of a known key")
    return text, tuple(found)


def strict_base64(text: str) -> bytes:
    """
    The bytes that this base64 is.

    Raises:
        NoteError: where an encoder would not write it so.
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NoteError("no base64") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError("base64 that no encoder writes")
    return raw


def _signature(line: str) -> tuple[str, bytes]:
    """The name and the bytes of a line of signatures."""
    if not line.startswith(_DASH):
        raise NoteError("a line that is no signature")
    name, gap, signature = line.removeprefix(_DASH).partition(" ")
    raw = strict_base64(signature)
    if not gap or len(raw) <= _HASH_BYTES:
        raise NoteError("a line that is no signature")
    return _checked_name(name), raw


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(one.isspace() or not one.isprintable() for one in name):
        raise NoteError("no name of a key")
    return name


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(one < " " and one != "\n" for one in text):
        raise NoteError("a text that no note has")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoteError("a text that no note has") from None
