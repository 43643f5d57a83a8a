"""What a connector set comes to, pattern by pattern, in a form that every peer can be given.

The peers get what Postern makes when it loads a set: for each pattern the demands that hold there,
what is inherited included. So a peer has to find the pattern and to check, and no more.
"""

import ipaddress
import tomllib
from dataclasses import dataclass, field
from typing import Any, Iterator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# TLS versions as peers are told them: 0 is plaintext, 1 a version nobody knows.
VERSIONS = {"sslv3": 2, "1": 3, "1.0": 3, "1.1": 4, "1.2": 5, "1.3": 6}
# The demands that are decided one by one.
DEMANDS = ("tls", "version", "origin")


class CannotSay(Exception):
    """The set holds something that is not translated for the peers."""


@dataclass(frozen=True)
class Origin:
    """From where, or with which certificate, mail must come; all empty: from anywhere."""

    networks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    either: bool = False


@dataclass
class Node:
    """The demands that hold at one pattern.

    Each is a list of (recipient pattern or None, value), the most specific first: the first whose
    recipients match holds. One without recipients is the last of its list.
    """

    tls: list[tuple[str | None, bool]] = field(default_factory=list)
    version: list[tuple[str | None, int]] = field(default_factory=list)
    origin: list[tuple[str | None, Origin]] = field(default_factory=list)

    def settled(self) -> bool:
        """Whether nothing here depends on the recipient."""
        return all(entry[0] is None for what in DEMANDS for entry in getattr(self, what))


@dataclass
class Agreement:
    """One set: by exact domain, by domain and all below it, by network, and for everything."""

    exact: dict[str, Node] = field(default_factory=dict)
    below: dict[str, Node] = field(default_factory=dict)
    everything: Node | None = None
    networks: dict[Network, Node] = field(default_factory=dict)
    connectors: int = 0
    accepted: list[str] = field(default_factory=list)
    left_out: int = 0


def tls_version(text: str) -> int:
    """The order of a TLS version, as the contract reads it."""
    text = text.lower()
    for prefix in ("tlsv", "tls"):
        if text.startswith(prefix):
            text = text[len(prefix) :].lstrip(" _")
            break
    return VERSIONS.get(text.replace("_", "."), 1)


def network(text: str) -> Network:
    """An address or a network; host bits masked, an IPv4 address in IPv6 clothes as what it is."""
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped:
        return ipaddress.ip_network(
            f"{found.network_address.ipv4_mapped}/{found.prefixlen - 96}", strict=False
        )
    return found


def stated(require: dict[str, Any]) -> dict[str, Any]:
    """The demands that one connector states, each with what it demands."""
    names = tuple(name.lower() for name in require.get("certificate_names", ()))
    fingerprints = tuple(
        text.replace(":", "").lower() for text in require.get("certificate_fingerprints", ())
    )
    networks = tuple(str(network(text)) for text in require.get("client_ips", ()))
    either = require.get("origin") == "address-or-certificate"
    demands: dict[str, Any] = {}
    if "tls_min_version" in require:
        demands["version"] = tls_version(require["tls_min_version"])
    if "tls" in require:
        demands["tls"] = require["tls"] != "opportunistic"
    elif "tls_min_version" in require or ((names or fingerprints) and not either):
        demands["tls"] = True
    if networks or names or fingerprints:
        demands["origin"] = Origin(networks, names, fingerprints, either)
    elif require.get("origin") == "unrestricted":
        demands["origin"] = Origin()
    return demands


# A connector's demands at one pattern, and the recipients that it is meant for.
Slots = dict[Any, list[tuple[str | None, dict[str, Any]]]]


def specificity(recipient: str | None) -> tuple[int, int]:
    """Orders recipient patterns: exact, the longest wildcard, `*`, none."""
    if recipient is None:
        return (3, 0)
    if recipient == "*":
        return (2, 0)
    if recipient.startswith("*."):
        return (1, -len(recipient))
    return (0, 0)


def settle(chain: list[list[tuple[str | None, dict[str, Any]]]]) -> Node:
    """What the connectors of a chain come to, the most specific pattern first."""
    node = Node()
    for what in DEMANDS:
        entries = getattr(node, what)
        for connectors in chain:
            for recipient, demands in sorted(connectors, key=lambda one: specificity(one[0])):
                if what in demands and not (entries and entries[-1][0] is None):
                    entries.append((recipient, demands[what]))
    return node


def parents(domain: str) -> Iterator[str]:
    """A domain and those above it: a.b.c, b.c, c."""
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def domain_chain(pattern: str, slots: Slots) -> list[list[tuple[str | None, dict[str, Any]]]]:
    """The connectors of a domain pattern and of all more general ones."""
    exact = not pattern.startswith("*")
    base = pattern if exact else pattern[2:]
    patterns = ([base] if exact else []) + [f"*.{parent}" for parent in parents(base)] + ["*"]
    return [slots[one] for one in patterns if one in slots]


def network_chain(one: Network, slots: Slots) -> list[list[tuple[str | None, dict[str, Any]]]]:
    """The connectors of a network and of all networks around it."""
    around = [one.supernet(new_prefix=prefix) for prefix in range(one.prefixlen, -1, -1)]
    return [slots[wider] for wider in around if wider in slots]


def load(text: str) -> Agreement:
    """Reads a connector set and settles it. Connectors in report, or off, change no verdict."""
    raw = tomllib.loads(text)
    if raw.get("mode", "enforce") != "enforce":
        raise CannotSay("the whole set is in report, or off: nothing is enforced")
    agreement = Agreement(accepted=raw.get("accepted_domains", []))
    domains: Slots = {}
    networks: Slots = {}
    for connector in raw.get("inbound", ()):
        agreement.connectors += 1
        if connector.get("mode", "enforce") != "enforce":
            agreement.left_out += 1
            continue
        match = connector["match"]
        demands = stated(connector["require"])
        recipients: list[str | None] = list(match.get("recipient_domains", ())) or [None]
        for recipient in recipients:
            scoped = recipient.lower() if recipient else None
            for pattern in match.get("sender_domains", ()):
                domains.setdefault(pattern.lower(), []).append((scoped, demands))
            for text in match.get("client_ips", ()):
                networks.setdefault(network(text), []).append((scoped, demands))
    agreement.connectors += len(raw.get("outbound", ()))
    for pattern in domains:
        node = settle(domain_chain(pattern, domains))
        if pattern == "*":
            agreement.everything = node
        elif pattern.startswith("*."):
            agreement.below[pattern[2:]] = node
        else:
            agreement.exact[pattern] = node
    for one in networks:
        agreement.networks[one] = settle(network_chain(one, networks))
    return agreement


# The widths of a bucket that are tried, the narrowest first, for IPv4 and IPv6.
WIDTHS = {4: (24, 20, 16, 8), 6: (64, 56, 48, 32, 16)}


def width(agreed: Agreement, version: int) -> int:
    """How many bits name a bucket: as many as do not copy networks into too many buckets."""
    networks = [one.prefixlen for one in agreed.networks if one.version == version]
    for bits in WIDTHS[version]:
        if sum(1 << max(0, bits - prefix) for prefix in networks) <= 2 * len(networks) + 16:
            return bits
    raise CannotSay("networks are too wide to be looked up by the first bits of an address")


def bucket(agreed: Agreement, text: str) -> str:
    """The bucket of an address: `v4-cb00`, say, by its first bits."""
    address = ipaddress.ip_address(text)
    bits = width(agreed, address.version)
    top = int(address) >> (address.max_prefixlen - bits)
    return f"v{address.version}-{top:0{bits // 4}x}"


def by_bucket(agreed: Agreement) -> dict[str, list[tuple[Network, Node]]]:
    """The networks of each bucket, the longest prefix first."""
    found: dict[str, list[tuple[Network, Node]]] = {}
    for one in sorted(agreed.networks, key=lambda one: -one.prefixlen):
        bits = width(agreed, one.version)
        parts = [one] if one.prefixlen >= bits else one.subnets(new_prefix=bits)
        for part in parts:
            name = bucket(agreed, str(part.network_address))
            found.setdefault(name, []).append((one, agreed.networks[one]))
    return found


def found(agreed: Agreement, domain: str, address: str) -> tuple[Node, Node]:
    """The nodes that a sender's domain and a client address lead to; empty where none does."""
    by_domain = agreed.exact.get(domain)
    for parent in parents(domain):
        by_domain = by_domain or agreed.below.get(parent)
    by_domain = by_domain or agreed.everything
    client = ipaddress.ip_address(address)
    for prefix in range(client.max_prefixlen, -1, -1):
        one = ipaddress.ip_network((client, prefix), strict=False)
        if one in agreed.networks:
            return by_domain or Node(), agreed.networks[one]
    return by_domain or Node(), Node()


def patterns(domain: str) -> list[str]:
    """The patterns that may match a domain: itself, its wildcards from the longest, `*`."""
    exact = [domain] if domain else []
    return exact + [f"*.{parent}" for parent in parents(domain)] + ["*"]


@dataclass(frozen=True)
class Demands:
    """What holds at one pattern for one recipient."""

    tls: bool = False
    version: int = 0
    origin: Origin = Origin()


def for_recipient(node: Node, matching: list[str]) -> Demands:
    """The demands for a recipient that these patterns match; none: only what holds for all."""
    held: dict[str, Any] = {}
    for what in DEMANDS:
        for recipient, value in getattr(node, what):
            if recipient is None or recipient in matching:
                held[what] = value
                break
    return Demands(**held)


def by_recipient(node: Node) -> dict[str, Demands]:
    """The demands for each recipient pattern that makes a difference; `*` for all the others."""
    entries = [entry for what in DEMANDS for entry in getattr(node, what)]
    named = {recipient for recipient, _ in entries if recipient is not None}
    found = {}
    for one in named | {"*"}:
        # Whoever the pattern matches is matched by all wider ones, too.
        wildcard = one.startswith("*.")
        matching = patterns(one[2:])[1:] if wildcard else patterns("" if one == "*" else one)
        found[one] = for_recipient(node, matching)
    return found
