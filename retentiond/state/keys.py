"""
The keys: for masks, tokens, seals and signatures, each a file of its own in one folder, for its owner only.

A key is made by the first who writes and needs it, and noted in the ledger. One that was noted and is gone is never
made anew: what it made could not be recognised any more.
"""

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from retentiond.errors import RefusedError, UsageError
from retentiond.state.key_files import KEY_BYTES, destroy, folder_alone, make_key, missing, put_new, read_key, replace
from retentiond.state.ledger.checkpoint import origin_of
from retentiond.state.ledger.known_keys import KnownKeys, Purpose
from retentiond.state.ledger.note import SigningKey, VerifierKey, read_verifier_key

MASK_FILE = "token.key"
SEAL_FILE = "seal.key"
SIGN_FILE = "ledger.key"
PUBLIC_FILE = "ledger.pub"

_TOKENS = re.compile(r"tokens-\d{4}-[0-9a-f]{8}", re.ASCII)
_NONCE_BYTES = 12
_MOST_SIGNERS = 8  # a key that was replaced signs once more, with the new one


class Sealer:
    """Seals what nobody but retentiond may read, and opens it again."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, data: bytes) -> bytes:
        """The data sealed; another text each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, None)

    def open(self, sealed: bytes) -> bytes:
        """
        What was sealed.

        Raises:
            RefusedError: where this key did not seal it, or it was changed.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            raise RefusedError(
                "what is sealed in the state store cannot be opened with this key",
                hint="restore `seal.key`",
                code="key",
            ) from None


class KeyRing:
    """
    The keys in a folder, of one state store.

    `now` makes it the ring of who writes: keys that were never made are made then. Without, it only reads.
    """

    def __init__(self, folder: Path, known: KnownKeys | None, now: Callable[[], datetime] | None = None) -> None:
        self._folder = folder
        self._known = known
        self._now = now if known is None or known.writable else None
        self._read: dict[str, bytes] = {}

    def mask_key(self) -> bytes:
        """The key that masks draw their values with."""
        return self._secret("mask", "mask", MASK_FILE)

    def sealer(self) -> Sealer:
        """Seals and opens ids of holds and requests, and keys of rows."""
        return Sealer(self._secret("seal", "seal", SEAL_FILE))

    def token_key(self, now: datetime) -> tuple[str, bytes]:
        """The key for tokens made in this year (UTC), and its id."""
        prefix = f"tokens-{now.astimezone(UTC).year:04}"
        secret = self._secret("tokens", prefix, f"{prefix}.key")
        return key_id(prefix, secret), secret

    def token_key_of(self, key: str) -> bytes | None:
        """The key for tokens of that id; None where it was destroyed because its time was over."""
        if not _TOKENS.fullmatch(key):
            raise ValueError("no id of a key for tokens")
        if self._known is not None and any(one.key == key and one.destroyed_at for one in self._known.of("tokens")):
            return None
        file = self._folder / f"{key[:-9]}.key"
        secret = read_key(file)
        if key_id(file.stem, secret) != key:
            raise _another(file)
        return secret

    def token_years(self) -> dict[str, int]:
        """
        The ids of the keys for tokens that may be destroyed once they are not needed, and their years.

        None where other state stores have their keys here too: they may need what this one does not.
        """
        if self._known is None or len(list(self._folder.glob("*.identity"))) > 1:
            return {}
        return {one.key: int(one.key.split("-")[1]) for one in self._known.of("tokens") if _TOKENS.fullmatch(one.key)}

    def destroy_tokens(self, key: str, now: datetime) -> None:
        """
        Destroy a key for tokens for good, and say so: nothing tells any more which rows its tokens stand for.

        One that was noted as destroyed and whose file is there still, since the machine stopped, goes now.
        """
        if self._known is None:
            raise ValueError("no state store that could say so")
        self._known.destroyed(key, now)
        file = self._folder / f"{key[:-9]}.key"
        if file.exists() and key_id(file.stem, read_key(file)) == key:
            destroy(file)

    def signer(self) -> tuple[SigningKey, ...]:
        """
        The key that signs checkpoints, and behind it those that it replaced and that have to sign once more.

        Raises:
            RefusedError: where it is missing, damaged, another than was noted, or others may read it.
        """
        if self._now is None:
            return self._signers()
        with folder_alone(self._folder):
            return self._noted_signers(self._now())

    def rotate_signer(self, now: datetime) -> str:
        """The id of a new key for signatures; the next checkpoint is signed by it and by those before it."""
        with folder_alone(self._folder):
            self._noted_signers(now)
            file = self._folder / SIGN_FILE
            replace(file, secrets.token_bytes(KEY_BYTES) + read_key(file, most=_MOST_SIGNERS - 1))
            return sign_id(self._noted_signers(now)[0].verifier)

    def retire_signers(self) -> None:
        """Destroy the keys for signatures that were replaced, after a checkpoint that they signed as well."""
        file = self._folder / SIGN_FILE
        with folder_alone(self._folder):
            seeds = read_key(file, most=_MOST_SIGNERS)
            if len(seeds) > KEY_BYTES:
                replace(file, seeds[:KEY_BYTES])

    def verifiers(self) -> tuple[VerifierKey, ...]:
        """Every key that ever signed a checkpoint here; none where nothing was signed."""
        file = self._folder / PUBLIC_FILE
        return read_verifiers(file) if file.exists() else ()

    def _secret(self, purpose: Purpose, prefix: str, name: str) -> bytes:
        if name not in self._read:
            file = self._folder / name
            known = [one for one in self._live(purpose) if one.startswith(f"{prefix}-")]
            if not file.exists():
                if known or self._now is None:
                    raise missing(file)
                make_key(file)
            secret = read_key(file)
            key = key_id(prefix, secret)
            if known and key not in known:
                raise _another(file)
            if not known and self._known is not None and self._now is not None:
                self._known.made(key, purpose, self._now())
            self._read[name] = secret
        return self._read[name]

    def _signers(self) -> tuple[SigningKey, ...]:
        """The keys in the file for signatures, the newest first."""
        seeds = read_key(self._folder / SIGN_FILE, most=_MOST_SIGNERS)
        name = origin_of(self._known.state_id() if self._known is not None else "")
        starts = range(0, len(seeds), KEY_BYTES)
        return tuple(SigningKey(name, seeds[start : start + KEY_BYTES]) for start in starts)

    def _noted_signers(self, now: datetime) -> tuple[SigningKey, ...]:
        """The same, made where there never were any, noted and published."""
        file = self._folder / SIGN_FILE
        live = self._live("sign")
        if not file.exists():
            if live:
                raise missing(file)
            make_key(file)
        keys = self._signers()
        ids = [sign_id(key.verifier) for key in keys]
        # Published first: whatever is signed can be verified.
        self._publish(keys)
        if self._known is not None and ids[0] not in live:
            if not live:
                self._known.made(ids[0], "sign", now)
            elif live[-1] in ids:
                self._known.rotated(ids[0], live[-1], "sign", now)  # also what a crash left of a rotation
            else:
                raise _another(file)
        return keys

    def _publish(self, keys: tuple[SigningKey, ...]) -> None:
        known = self.verifiers()
        added = [key.verifier for key in reversed(keys) if key.verifier not in known]
        if added:
            lines = "".join(f"{key}\n" for key in (*known, *added))
            replace(self._folder / PUBLIC_FILE, lines.encode(), 0o644)

    def _live(self, purpose: Purpose) -> list[str]:
        """The ids of that purpose that the state store knows of and that are not destroyed, oldest first."""
        found = self._known.of(purpose) if self._known is not None else []
        return [one.key for one in found if one.destroyed_at is None]


def key_id(prefix: str, secret: bytes) -> str:
    """What a key is called where it must not be told: `tokens-2026-1f2e3d4c`."""
    return f"{prefix}-{sha256(b'retentiond/key-id/' + prefix.encode() + b'/' + secret).hexdigest()[:8]}"


def sign_id(key: VerifierKey) -> str:
    """What a key for signatures is called: with the hash that its notes show."""
    return f"ledger-{key.hash.hex()}"


def read_verifiers(file: Path) -> tuple[VerifierKey, ...]:
    """
    The verifier keys in a file, one in each line.

    Raises:
        UsageError: where the file cannot be read or holds none.
    """
    try:
        found = tuple(read_verifier_key(line) for line in file.read_text(encoding="utf-8").splitlines() if line)
    except OSError as error:
        raise UsageError(f"the public key {file} cannot be read: {error.strerror}", code="public-key") from None
    except ValueError:
        found = ()
    if not found:
        raise UsageError(
            f"{file} holds no public key of a ledger",
            hint="give the `ledger.pub` of the keys' folder",
            code="public-key",
        )
    return found


def state_identities(folder: Path, name: str) -> tuple[str, ...]:
    """The ids that the state store of that file name has had, the one it has now last; none where it never was."""
    file = folder / f"{name}.identity"
    try:
        return tuple(str(UUID(line)) for line in file.read_text(encoding="ascii").split())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError):
        raise RefusedError(
            f"{file}, which tells the state store from others, cannot be read", hint="restore it", code="key"
        ) from None


def keep_identity(folder: Path, name: str, state_id: str) -> None:
    """Write down the id of a state store beside the keys, so that it has the same if it is lost and made anew."""
    put_new(folder / f"{name}.identity", f"{state_id}\n".encode())


def add_identity(folder: Path, name: str, state_id: str) -> None:
    """Write down the id that a state store has from now on, behind those that it had."""
    known = state_identities(folder, name)
    if state_id not in known:
        replace(folder / f"{name}.identity", "".join(f"{one}\n" for one in (*known, state_id)).encode())


def _another(file: Path) -> RefusedError:
    return RefusedError(
        f"the key {file} is not the one that was used before", hint="restore it from your back-up", code="key"
    )
