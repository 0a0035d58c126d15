"""
What an exported ledger says, read by the words of the published forms (RFC 6962, C2SP notes) and not by retentiond's
code: its own reader would forgive its own mistakes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DONE = ("destroyed", "changed")
ENDS = (*DONE, "aborted", "restored", "unresolved")


@dataclass(frozen=True)
class Evidence:
    """The entries of one export, and what is wrong with them. `findings` is empty where nothing is."""

    entries: Sequence[dict[str, Any]]
    findings: list[str] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]

    def batches(self, *statuses: str) -> list[str]:
        """The batches that ended so."""
        return [entry["batch"] for entry in self.of_kind("outcome") if entry["status"] in statuses]


def read_export(export: bytes, public_keys: str) -> Evidence:
    """What the export says; what does not hold is a finding."""
    findings: list[str] = []
    if not export.endswith(b"\n"):
        return Evidence([], ["the export does not end with a whole line"])
    *leaves, last = export[:-1].split(b"\n")
    entries: list[dict[str, Any]] = []
    for at, leaf in enumerate(leaves):
        entry = json.loads(leaf)
        entries.append(entry)
        if entry["seq"] != at:
            findings.append(f"entry {at} says it is {entry['seq']}")
        if _plain(entry) != leaf:
            findings.append(f"entry {at} is not in canonical form")
        if at and entries[at - 1]["time"] > entry["time"] and len(entry["time"]) == len(entries[at - 1]["time"]):
            findings.append(f"entry {at} is older than the one before it")
    checkpoint = json.loads(last)
    if checkpoint.get("kind") != "checkpoint":
        findings.append("no checkpoint in the end")
    else:
        findings += _signed(checkpoint["checkpoint"], leaves, public_keys)
    return Evidence(entries, findings + _paired(entries))


def _plain(entry: dict[str, Any]) -> bytes:
    """RFC 8785 for what our entries hold: names sorted, no spaces, text as it is."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _signed(note: str, leaves: Sequence[bytes], public_keys: str) -> list[str]:
    """What is wrong with the checkpoint: its size, its root, its signature."""
    text, _, block = note.rpartition("\n\n")
    text += "\n"
    _, size, root, *_ = text.split("\n")
    findings = []
    if int(size) != len(leaves):
        findings.append(f"the checkpoint is of {size} entries, the export has {len(leaves)}")
    if base64.b64decode(root) != merkle_root(leaves):
        findings.append("the checkpoint has another root")
    keys = {}
    for line in public_keys.split():
        name, _, rest = line.partition("+")
        digest, _, material = rest.partition("+")
        keys[name, bytes.fromhex(digest)] = base64.b64decode(material)[1:]
    good = 0
    for line in block.splitlines():
        _, name, signature = line.split(" ")
        raw = base64.b64decode(signature)
        key = keys.get((name, raw[:4]))
        try:
            if key is not None:
                Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], text.encode())
                good += 1
        except InvalidSignature:
            findings.append("the checkpoint has a false signature")
    return findings if good else [*findings, "no known key signed the checkpoint"]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root as section 2.1 of RFC 6962 says it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + merkle_root(leaves[:half]) + merkle_root(leaves[half:])).digest()


def _paired(entries: Iterable[dict[str, Any]]) -> list[str]:
    """What is wrong between intents and outcomes: each intent has one, and it tells of the same rows."""
    findings: list[str] = []
    intents: dict[str, dict[str, Any]] = {}
    ends: dict[str, list[dict[str, Any]]] = defaultdict(list)
    open_by_job: dict[str, str] = {}
    for entry in entries:
        if entry["kind"] == "intent":
            batch, job = entry["batch"], entry["job"]
            if batch in intents:
                findings.append(f"two intents of batch {batch}")
            if job in open_by_job:
                findings.append(f"{job}: an intent while that of batch {open_by_job[job]} was open")
            intents[batch], open_by_job[job] = entry, batch
        elif entry["kind"] == "outcome" and entry["status"] in (*DONE, "aborted", "unresolved"):
            ends[entry["batch"]].append(entry)
            if open_by_job.get(entry["job"]) == entry["batch"]:
                del open_by_job[entry["job"]]
    for batch, found in ends.items():
        if len(found) > 1:
            findings.append(f"{len(found)} outcomes of batch {batch}: {[one['status'] for one in found]}")
        intent = intents.get(batch)
        if intent is None:
            findings.append(f"an outcome without an intent: batch {batch}")
        elif found[0]["status"] in DONE and found[0]["tables"] != _part(intent, found[0]):
            findings.append(f"batch {batch} did {found[0]['tables']} and meant {intent['tables']}")
    findings += [f"batch {batch} has no outcome" for batch in intents if batch not in ends]
    return findings


def _part(intent: dict[str, Any], outcome: dict[str, Any]) -> dict[str, int]:
    """
    What an intent meant to do in the sources of which its outcome tells: where rows of two go together, a crash between
    the two commits leaves those of one.
    """
    sources = {label.split(".")[0] for label in outcome["tables"]}
    whole = outcome["evidence"] != "recovered"
    return {label: rows for label, rows in intent["tables"].items() if whole or label.split(".")[0] in sources}
