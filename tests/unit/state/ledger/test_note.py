"""Signed notes against the published examples, and checkpoints in that form."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.state.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of, sign
from retentiond.state.ledger.note import NoteError, SigningKey, open_note, read_verifier_key, sign_note

# golang.org/x/mod, sumdb/note/note_test.go, and c2sp.org/signed-note
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)

peter, enoch, foo = (read_verifier_key(line) for line in (PETER, ENOCH, FOO))

OURS = SigningKey(origin_of("5f0e3c1a-0000-4000-8000-000000000001"), bytes(range(32)))
LATER = SigningKey(OURS.verifier.name, bytes(range(1, 33)))
POINT = Checkpoint(OURS.verifier.name, 812, bytes(range(32)), datetime(2026, 11, 22, 1, 0, 3, tzinfo=UTC))


def test_the_published_notes_open() -> None:
    assert open_note(f"{TEXT}\n{PETER_LINE}", [peter]) == (TEXT, (peter,))
    assert open_note(f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}", [peter, enoch]) == (TEXT, (peter, enoch))
    assert open_note(FOO_NOTE, [foo]) == ("This is an example message.\n", (foo,))


def test_the_published_key_signs_the_published_note() -> None:
    key = SigningKey("PeterNeumann", PETER_SEED)
    assert str(key.verifier) == PETER
    assert sign_note(TEXT, [key]) == f"{TEXT}\n{PETER_LINE}"


def test_a_key_that_is_not_known_says_nothing() -> None:
    note = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}"
    assert open_note(note, [enoch]) == (TEXT, (enoch,))
    with pytest.raises(NoteError, match="not given"):
        open_note(note, [enoch], every=True)
    with pytest.raises(NoteError, match="no signature of a known key"):
        open_note(note, [foo])


def test_a_known_key_that_signed_something_else_spoils_the_note() -> None:
    forged = f"{TEXT.replace('problem', 'question')}\n{PETER_LINE}{ENOCH_LINE}"
    with pytest.raises(NoteError, match="wrong"):
        open_note(forged, [peter])
    mixed = f"{TEXT}\n{ENOCH_LINE}{PETER_LINE.replace('x08go/Z', 'x08go/a')}"
    with pytest.raises(NoteError, match="wrong"):
        open_note(mixed, [peter, enoch])
    twice = f"{TEXT}\n{PETER_LINE}{PETER_LINE}"
    assert open_note(twice, [peter]) == (TEXT, (peter,))
    with pytest.raises(NoteError, match="twice"):
        open_note(twice, [peter], every=True)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        TEXT,
        f"{TEXT}\n",
        f"{TEXT}\n{PETER_LINE[:-1]}",
        f"\x01{TEXT}\n{PETER_LINE}",
        f"{TEXT}\ud800\n{PETER_LINE}",
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Bad Name')}",
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann', 'Peter+Neumann')}",
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n",
        f"{TEXT}\n{PETER_LINE.replace('—', '-')}",
        f"{TEXT}\n{PETER_LINE.replace('=', '')}",
        f"{TEXT}\n{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}",
        f"{TEXT}\n— PeterNeumann \n",
        f"{TEXT}\n— PeterNeumann x08goA==\n",
        f"{TEXT}\n{PETER_LINE * 101}",
    ],
)
def test_what_is_no_note(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, [peter])


def test_what_is_no_verifier_key() -> None:
    for start in range(len(PETER)):
        for end in range(start, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                with pytest.raises(NoteError):
                    read_verifier_key(PETER[start:end])
    for place in range(len(PETER)):
        for bit in range(7):
            turned = PETER[:place] + chr(ord(PETER[place]) ^ 1 << bit) + PETER[place + 1 :]
            with pytest.raises(NoteError):
                read_verifier_key(turned)
    # another length, and another algorithm, each with the hash that goes with it
    for key in (
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ):
        with pytest.raises(NoteError):
            read_verifier_key(key)


def test_a_checkpoint_is_written_once_and_for_all() -> None:
    note = sign(POINT, [OURS])
    assert note == (
        "retentiond/5f0e3c1a-0000-4000-8000-000000000001\n"
        "812\n"
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        "signed 2026-11-22T01:00:03Z\n"
        "\n"
        "— retentiond/5f0e3c1a-0000-4000-8000-000000000001 "
        "jtVdI0+I5u3+efPoyhxH0QtxVuyPP4puhQr5XvqQCMae+cy+brnuo2IjbBnDycDL5gmw9CIZFNM0V9orGTsZBqJBXQc=\n"
    )
    assert open_checkpoint(note, [OURS.verifier]) == (POINT, (OURS.verifier,))


def test_a_checkpoint_of_two_keys_is_good_with_either() -> None:
    note = sign(POINT, [LATER, OURS])
    for key in (OURS.verifier, LATER.verifier):
        assert open_checkpoint(note, [key]) == (POINT, (key,))
    both = (LATER.verifier, OURS.verifier)
    assert open_checkpoint(note, both, every=True) == (POINT, both)


def test_a_checkpoint_is_signed_in_its_own_name() -> None:
    with pytest.raises(NoteError, match="another ledger"):
        open_checkpoint(sign(POINT, [SigningKey("retentiond/another", bytes(32))]), [
            SigningKey("retentiond/another", bytes(32)).verifier
        ])  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        POINT.text + "more\n",
        POINT.text.replace("812", "0812"),
        POINT.text.replace("812", "+812"),
        POINT.text.replace("812", "-812"),
        POINT.text.replace("812", "٨١٢"),
        POINT.text.replace("812", ""),
        POINT.text.replace("Hh8=", "Hh9="),
        POINT.text.replace("AAEC", ""),
        POINT.text.replace("signed ", ""),
        POINT.text.replace("03Z", "03.000000Z"),
        POINT.text.replace("03Z", "03+00:00"),
        POINT.text.replace("2026-11-22", "2026-11-31"),
        POINT.text.partition("signed")[0],
        POINT.text.partition("\n")[2],
    ],
)
def test_what_is_no_checkpoint_though_it_is_signed(text: str) -> None:
    with pytest.raises(NoteError):
        open_checkpoint(sign_note(text, [OURS]), [OURS.verifier])


@given(st.data())
def test_no_bit_of_a_checkpoint_can_be_turned(data: st.DataObject) -> None:
    note = bytearray(sign(POINT, [OURS]).encode())
    note[data.draw(st.integers(0, len(note) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((NoteError, UnicodeDecodeError)):
        open_checkpoint(note.decode(), [OURS.verifier])


def test_a_name_is_one_word_without_a_plus() -> None:
    for name in ("", "a b", "a+b", "a\n", "a\u2003b"):
        with pytest.raises(NoteError):
            SigningKey(name, bytes(32))
