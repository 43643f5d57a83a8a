"""Cerbos: one policy for each pattern, found by scope.

The resource's scope is the sender's domain from the top (`com.contoso.mail.SELF`), each wildcard
pattern is a policy at its domain's scope, an exact one at `SELF` below it (no domain has capitals),
and Cerbos looks for the nearest policy upwards. Networks are a second kind of resource, scoped by
the first bits of the address; both are asked in one call.

The second way, which is less than the job, is in cerbos_told.py.
"""

import json
from pathlib import Path
from typing import Any

import agreement
import wire
from agreement import Agreement, Network, Node, Origin
from peer import Peer, names_of
from questions import Facts, Question

CONFIG = """\
server:
  httpListenAddr: "127.0.0.1:0"
  grpcListenAddr: "127.0.0.1:{port}"
engine:
  lenientScopeSearch: true
telemetry:
  disabled: true
storage:
  driver: disk
  disk:
    directory: {folder}
    watchForChanges: false
"""


def quoted(text: str) -> str:
    """Text in CEL."""
    return json.dumps(text)


def any_of(terms: list[str]) -> str:
    """One of these; false where there are none."""
    return "(" + " || ".join(terms) + ")" if terms else "false"


def certified(one: Origin) -> str:
    """The condition that the certificate is as agreed."""
    exact, suffixes = names_of(one)
    terms = []
    if one.fingerprints:
        terms.append(f"hasIntersection(P.attr.fingerprints, {json.dumps(list(one.fingerprints))})")
    names = []
    if exact:
        names.append(f"hasIntersection(P.attr.names, {json.dumps(exact)})")
    for suffix in suffixes:
        names.append(f'P.attr.names.exists(n, ("." + n).endsWith({quoted(suffix)}))')
    if names:
        terms.append(f"(P.attr.trusted && {any_of(names)})")
    return any_of(terms)


def proven(one: Origin) -> str:
    """The condition that mail comes from where was agreed."""
    terms = []
    if one.networks:
        terms.append(any_of([f"P.attr.client_ip.inIPAddrRange({quoted(n)})" for n in one.networks]))
    if one.names or one.fingerprints:
        terms.append(certified(one))
    return (" || " if one.either else " && ").join(terms) or "true"


def meant_for(recipient: str) -> str:
    """The condition that a recipient pattern matches."""
    if recipient == "*":
        return "true"
    if recipient.startswith("*."):
        return f'("." + P.attr.recipient).endsWith({quoted(recipient[1:])})'
    return f"P.attr.recipient == {quoted(recipient)}"


def demand(what: str, value: Any) -> str:
    """The condition that one demand is met."""
    if what == "tls":
        return "P.attr.tls > 0" if value else "true"
    if what == "version":
        return f"(P.attr.tls == 0 || P.attr.tls >= {value})"
    return proven(value)


def met(node: Node) -> str:
    """The condition that all demands of a node are met."""
    terms = []
    for what in agreement.DEMANDS:
        entries = getattr(node, what)
        if not entries:
            continue
        term = "true"
        for recipient, value in reversed(entries):
            holds = demand(what, value)
            term = holds if recipient is None else f"({meant_for(recipient)} ? {holds} : {term})"
        if term != "true":
            terms.append(f"({term})")
    return " && ".join(terms) or "true"


def policy(kind: str, scope: str, refusals: list[str], decides: bool = True) -> dict[str, Any]:
    """A policy that accepts but where a refusal holds; or one that leaves it to its parent."""
    rule = {"actions": ["accept"], "roles": ["*"]}
    rules: list[dict[str, Any]] = [{**rule, "effect": "EFFECT_ALLOW"}] if decides else []
    for expression in refusals:
        condition = {"match": {"expr": expression}}
        rules.append({**rule, "effect": "EFFECT_DENY", "condition": condition})
    found: dict[str, Any] = {"version": "default", "resource": kind, "rules": rules}
    if scope:
        found["scope"] = scope
    return {"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": found}


def domain_scope(domain: str) -> str:
    """The scope of a domain and all below it."""
    return ".".join(reversed(domain.split(".")))


def domain_policies(agreed: Agreement) -> dict[str, dict[str, Any]]:
    """The policies by scope; with empty ones between, which Cerbos asks for."""
    found = {}
    nodes = {domain_scope(domain): node for domain, node in agreed.below.items()}
    nodes |= {f"{domain_scope(domain)}.SELF": node for domain, node in agreed.exact.items()}
    nodes[""] = agreed.everything or Node()
    for scope, node in nodes.items():
        expression = met(node)
        found[scope] = policy("domain", scope, [] if expression == "true" else [f"!({expression})"])
    for scope in list(found):
        while scope := scope.rpartition(".")[0]:
            if scope not in found:
                found[scope] = policy("domain", scope, [], decides=False)
    return found


def network_refusals(entries: list[tuple[Network, Node]]) -> list[str]:
    """When a bucket refuses: the longest prefix decides."""
    found = []
    for at, (network, node) in enumerate(entries):
        expression = met(node)
        if expression == "true":
            continue
        inside = f"P.attr.client_ip.inIPAddrRange({quoted(str(network))})"
        longer = [other for other, _ in entries[:at] if other.subnet_of(network)]  # type: ignore
        terms = [inside, *(f"!P.attr.client_ip.inIPAddrRange({quoted(str(o))})" for o in longer)]
        found.append(" && ".join([*terms, f"!({expression})"]))
    return found


def network_policies(agreed: Agreement) -> dict[str, dict[str, Any]]:
    """One policy for each bucket of addresses."""
    found = {"": policy("network", "", [])}
    for name, entries in agreement.by_bucket(agreed).items():
        found[name] = policy("network", name, network_refusals(entries))
    return found


class Cerbos(Peer):
    """What both ways to ask Cerbos share."""

    tool = "cerbos"
    path = "/cerbos.svc.v1.CerbosService/CheckResources"
    call = "cerbos.svc.v1.CerbosService/CheckResources"

    def policies(self) -> list[dict[str, Any]]:
        """The policies of a set."""
        raise NotImplementedError

    def resources(self, question: Question) -> list[dict[str, Any]]:
        """What is asked about: kind, and scope or attributes."""
        raise NotImplementedError

    def command(self, folder: Path, port: int) -> list[str]:
        policies = folder / "policies"
        policies.mkdir()
        for at, one in enumerate(self.policies()):
            # JSON is YAML, too.
            (policies / f"{at}.json").write_text(json.dumps(one), encoding="utf-8")
        config = folder / "cerbos.yaml"
        config.write_text(CONFIG.format(port=port, folder=policies), encoding="utf-8")
        return [self.binary, "server", "--log-level=error", f"--config={config}"]

    @staticmethod
    def principal(facts: Facts) -> dict[str, Any]:
        """The session, as attributes of who asks."""
        return {
            "client_ip": facts.client_ip,
            "fingerprints": list(facts.fingerprints),
            "names": list(facts.names),
            "recipient": facts.recipient,
            "tls": facts.tls,
            "trusted": facts.trusted,
        }

    def data(self, question: Question) -> dict[str, Any]:
        entries = [
            {"actions": ["accept"], "resource": {"id": "mail", **one}}
            for one in self.resources(question)
        ]
        attributes = self.principal(question.facts)
        return {
            "principal": {"id": "gateway", "roles": ["gateway"], "attr": attributes},
            "resources": entries,
        }

    def message(self, question: Question) -> bytes:
        principal = wire.join(
            wire.text(1, "gateway"),
            wire.text(3, "gateway"),
            wire.fields(4, self.principal(question.facts)),
        )
        entries = []
        for one in self.resources(question):
            resource = wire.join(
                wire.text(1, one["kind"]),
                wire.text(3, "mail"),
                wire.fields(4, one.get("attr", {})),
                wire.text(5, one.get("scope", "")),
            )
            entries.append(wire.nested(4, wire.text(1, "accept") + wire.nested(2, resource)))
        return wire.join(wire.nested(3, principal), *entries)

    def accepts(self, body: bytes) -> bool:
        effects = []
        for key, result in wire.read(body):
            if key == 2 and isinstance(result, bytes):
                action = wire.first(result, 2)
                effects.append(wire.first(action, 2) if isinstance(action, bytes) else None)
        if not effects or any(effect not in (1, 2) for effect in effects):
            raise ValueError(f"effects {effects} are not all an ALLOW or a DENY")
        return all(effect == 1 for effect in effects)


class CerbosScopes(Cerbos):
    """One policy for each pattern."""

    name = "Cerbos"

    def policies(self) -> list[dict[str, Any]]:
        return [*domain_policies(self.agreed).values(), *network_policies(self.agreed).values()]

    def resources(self, question: Question) -> list[dict[str, Any]]:
        domain = question.facts.domain
        scope = f"{domain_scope(domain)}.SELF" if domain else ""
        return [
            {"kind": "domain", **({"scope": scope} if scope else {})},
            {"kind": "network", "scope": self.bucket(question)},
        ]
