"""Cerbos with one policy that is told the agreement: the least that Cerbos costs.

The caller has looked up what was agreed and sends it along; the policy only compares. So this is
not the whole job: which partner's agreement holds is the very thing that Postern is asked.
"""

from typing import Any

import agreement
from agreement import Node
from cerbos import Cerbos
from peer import names_of
from questions import Question

LISTED = "R.attr.networks.exists(n, P.attr.client_ip.inIPAddrRange(n))"
CERTIFIED = (
    "(hasIntersection(P.attr.fingerprints, R.attr.fingerprints) || (P.attr.trusted && "
    "(hasIntersection(P.attr.names, R.attr.names) || R.attr.suffixes.exists(s, "
    'P.attr.names.exists(n, ("." + n).endsWith(s))))))'
)
REFUSALS = (
    "R.attr.demands_tls && P.attr.tls == 0",
    "P.attr.tls > 0 && P.attr.tls < R.attr.version",
    f"R.attr.either && !({LISTED} || {CERTIFIED})",
    f"!R.attr.either && R.attr.demands_address && !{LISTED}",
    f"!R.attr.either && R.attr.demands_certificate && !{CERTIFIED}",
)


class CerbosTold(Cerbos):
    """One policy; what was agreed comes with the question."""

    name = "Cerbos (told the agreement)"

    def policies(self) -> list[dict[str, Any]]:
        rule = {"actions": ["accept"], "roles": ["*"]}
        rules: list[dict[str, Any]] = [{**rule, "effect": "EFFECT_ALLOW"}]
        for expression in REFUSALS:
            condition = {"match": {"expr": expression}}
            rules.append({**rule, "effect": "EFFECT_DENY", "condition": condition})
        policy = {"version": "default", "resource": "agreement", "rules": rules}
        return [{"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}]

    def resources(self, question: Question) -> list[dict[str, Any]]:
        facts = question.facts
        nodes = agreement.found(self.agreed, facts.domain, facts.client_ip)
        # Where nothing was agreed, that is what is sent: there must be something to ask about.
        agreed = [node for node in nodes if node != Node()] or [Node()]
        return [{"kind": "agreement", "attr": told(node, facts.recipient)} for node in agreed]


def told(node: Node, recipient: str) -> dict[str, Any]:
    """What was agreed, for this recipient."""
    holds = agreement.for_recipient(node, agreement.patterns(recipient))
    origin = holds.origin
    names, suffixes = names_of(origin)
    return {
        "demands_tls": holds.tls,
        "version": holds.version,
        "demands_address": bool(origin.networks),
        "demands_certificate": bool(origin.names or origin.fingerprints),
        "either": origin.either,
        "networks": list(origin.networks),
        "names": names,
        "suffixes": suffixes,
        "fingerprints": list(origin.fingerprints),
    }
