"""The questions: as Postern is asked them, and the plain facts that the peers are told.

A peer's gateway does the reading for it: domains, TLS version and addresses arrive in the spelling
that the policy compares. Postern does this work itself.
"""

import datetime
import ipaddress
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agreement
import wire


@dataclass(frozen=True)
class Facts:
    """One question in the words of the policies."""

    domain: str
    recipient: str
    client_ip: str
    tls: int = 0
    trusted: bool = False
    names: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One question: as Postern's JSON, and as facts."""

    json: dict[str, Any] = field(hash=False)
    facts: Facts

    def message(self) -> bytes:
        """The CheckInboundRequest in protobuf."""
        asked = self.json
        tls = asked.get("tls")
        return wire.join(
            wire.text(1, asked.get("connector_set", "")),
            wire.text(2, asked["client_ip"]),
            wire.text(3, asked.get("helo", "")),
            wire.text(4, asked.get("mail_from", "")),
            wire.text(5, asked.get("rcpt_to", "")),
            wire.nested(6, tls_message(tls)) if tls is not None else b"",
            wire.text(7, asked.get("correlation_id", "")),
        )


TRUST = ("UNSPECIFIED", "TRUSTED", "UNTRUSTED", "EXPIRED", "WRONG_PURPOSE")


def tls_message(tls: dict[str, Any]) -> bytes:
    """A TlsSession in protobuf."""
    certificate = tls.get("peer_certificate")
    return wire.join(
        wire.text(1, tls.get("version", "")),
        wire.text(2, tls.get("cipher", "")),
        wire.nested(3, certificate_message(certificate)) if certificate is not None else b"",
    )


def certificate_message(certificate: dict[str, Any]) -> bytes:
    """A Certificate in protobuf."""
    until = certificate.get("not_after")
    trust = certificate.get("trust", "UNSPECIFIED").rpartition("TRUST_")[2]
    return wire.join(
        wire.number(1, TRUST.index(trust)),
        wire.text(2, certificate.get("trust_detail", "")),
        *(wire.text(3, name) for name in certificate.get("dns_names", ())),
        wire.text(4, certificate.get("common_name", "")),
        wire.text(6, certificate.get("sha256", "")),
        wire.text(7, certificate.get("spki_sha256", "")),
        wire.text(8, certificate.get("subject", "")),
        wire.text(9, certificate.get("issuer", "")),
        wire.nested(11, wire.number(1, seconds(until))) if until else b"",
    )


def seconds(time: str) -> int:
    """The seconds of a Timestamp in JSON."""
    return int(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


CAPITAL = re.compile("[A-Z]")


def snake(value: Any) -> Any:
    """JSON of protobuf with the field names of the contract."""
    if isinstance(value, dict):
        return {CAPITAL.sub(lambda m: "_" + m[0].lower(), k): snake(v) for k, v in value.items()}
    if isinstance(value, list):
        return [snake(one) for one in value]
    return value


KNOWN = {"connector_set", "client_ip", "helo", "mail_from", "rcpt_to", "tls", "correlation_id"}
KNOWN_TLS = {"version", "cipher", "peer_certificate"}
KNOWN_CERTIFICATE = {
    *("trust", "trust_detail", "dns_names", "common_name"),
    *("sha256", "spki_sha256", "subject", "issuer", "not_after"),
}


def domain_of(address: str) -> str:
    """The domain of an envelope address; nothing where it has none."""
    domain = address.removeprefix("<").removesuffix(">").rpartition("@")[2]
    if "@" not in address or domain.startswith("["):
        return ""
    return domain.lower().removesuffix(".")


def facts(asked: dict[str, Any]) -> Facts:
    """The facts of a question."""
    address = ipaddress.ip_address(asked["client_ip"])
    address = getattr(address, "ipv4_mapped", None) or address
    tls = asked.get("tls")
    certificate = (tls or {}).get("peer_certificate") or {}
    names = certificate.get("dns_names") or [n for n in [certificate.get("common_name")] if n]
    prints = [certificate.get("sha256"), certificate.get("spki_sha256")]
    return Facts(
        domain=domain_of(asked.get("mail_from", "")),
        recipient=domain_of(asked.get("rcpt_to", "")),
        client_ip=str(address),
        tls=0 if tls is None else agreement.tls_version(tls.get("version", "")),
        trusted=certificate.get("trust", "").rpartition("TRUST_")[2] == "TRUSTED",
        names=tuple(name.lower() for name in names),
        fingerprints=tuple(text.replace(":", "").lower() for text in prints if text),
    )


def question(asked: dict[str, Any]) -> Question | None:
    """A question for all; none where it has no recipient, or says what peers are not told."""
    asked = {key: value for key, value in snake(asked).items() if value is not None}
    tls = asked.get("tls") or {}
    certificate = tls.get("peer_certificate") or {}
    if set(certificate) - KNOWN_CERTIFICATE or set(tls) - KNOWN_TLS or set(asked) - KNOWN:
        return None
    if not asked.get("rcpt_to"):
        return None
    if certificate.get("trust") in TRUST:
        certificate["trust"] = "CERTIFICATE_TRUST_" + certificate["trust"]
    return Question(asked, facts(asked))


def read(path: Path) -> list[Question]:
    """The questions of a file: an array of CheckInboundRequests in JSON, or one a line."""
    text = path.read_text(encoding="utf-8").strip()
    if text.startswith("["):
        asked = json.loads(text)
    else:
        asked = [json.loads(line) for line in text.splitlines()]
    return [one for one in map(question, asked) if one]


@dataclass(frozen=True)
class Example:
    """One file of tests/cases/microsoft: a set, and questions about it."""

    name: str
    set: str
    questions: list[Question]


def examples(folder: Path) -> list[Example]:
    """The five examples of Exchange's documentation, with the questions of their cases."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        (text,) = raw["sets"].values()
        asked = [question(case["inbound"]) for case in raw["case"] if "inbound" in case]
        found.append(Example(path.stem, text, [one for one in asked if one]))
    return found
