"""OPA: the set as a keyed data document, and one policy that looks it up (policy.rego)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import agreement
import wire
from agreement import Agreement, Demands, Node, Origin
from peer import Peer, names_of
from questions import Question

POLICY = Path(__file__).with_name("policy.rego")


def certificate(one: Origin) -> dict[str, Any]:
    """The certificates of an origin as the policy reads them."""
    exact, suffixes = names_of(one)
    found: dict[str, Any] = {}
    if one.fingerprints:
        found["fingerprints"] = {text: True for text in one.fingerprints}
    if exact:
        found["names"] = {name: True for name in exact}
    if suffixes:
        found["suffixes"] = suffixes
    return found


def held(demands: Demands) -> dict[str, Any]:
    """Demands as the policy reads them: only what is demanded, so that no more is evaluated."""
    found: dict[str, Any] = {}
    if demands.tls:
        found["least"] = max(1, demands.version)
    elif demands.version:
        found["least_of_tls"] = demands.version
    origin = demands.origin
    if origin.either:
        found["either"] = {"networks": list(origin.networks), "certificate": certificate(origin)}
        return found
    if origin.networks:
        found["networks"] = list(origin.networks)
    if origin.names or origin.fingerprints:
        found["certificate"] = certificate(origin)
    return found


def entry(node: Node) -> dict[str, Any]:
    """The demands at one pattern; by recipient where that makes a difference."""
    if node.settled():
        return held(agreement.for_recipient(node, []))
    choices = agreement.by_recipient(node)
    return {"by_recipient": {pattern: held(demands) for pattern, demands in choices.items()}}


def document(agreed: Agreement) -> dict[str, Any]:
    """The data document of a set."""
    patterns = {f"*.{domain}": entry(node) for domain, node in agreed.below.items()}
    if agreed.everything:
        patterns["*"] = entry(agreed.everything)
    networks = {
        name: [{"network": str(network), "demands": entry(node)} for network, node in nodes]
        for name, nodes in agreement.by_bucket(agreed).items()
    }
    exact = {domain: entry(node) for domain, node in agreed.exact.items()}
    return {"agreement": {"exact": exact, "patterns": patterns, "networks": networks}}


class Opa(Peer):
    """What both ways to ask OPA share."""

    def write(self, folder: Path) -> list[str]:
        """Writes the data, and names the files to load."""
        data = folder / "data.json"
        data.write_text(json.dumps(document(self.agreed)), encoding="utf-8")
        return [str(POLICY), str(data)]

    def facts(self, question: Question) -> dict[str, Any]:
        """The facts as the policy reads them, with the patterns that may match."""
        facts = question.facts
        return asdict(facts) | {
            "bucket": self.bucket(question),
            "sender_patterns": agreement.patterns(facts.domain)[bool(facts.domain) :],
            "recipient_patterns": agreement.patterns(facts.recipient),
        }


class OpaRest(Opa):
    """`opa run --server`, asked over HTTP/1.1 with JSON."""

    name = "OPA REST"
    tool = "opa"
    path = "/v1/data/postern/allow"
    call = None

    def command(self, folder: Path, port: int) -> list[str]:
        return [
            *(self.binary, "run", "--server", "--addr", f"127.0.0.1:{port}"),
            *("--log-level", "error", "--skip-version-check", "--optimize-store-for-read-speed"),
            *self.write(folder),
        ]

    def message(self, question: Question) -> bytes:
        return json.dumps({"input": self.facts(question)}).encode()

    def accepts(self, body: bytes) -> bool:
        return json.loads(body)["result"] is True


class OpaGrpc(Opa):
    """Envoy's external authorization over OPA's library, by the server in opa-grpc/."""

    name = "OPA gRPC (library)"
    tool = "opa-grpc"
    path = "/envoy.service.auth.v3.Authorization/Check"
    call = "envoy.service.auth.v3.Authorization/Check"

    def command(self, folder: Path, port: int) -> list[str]:
        return [self.binary, "--addr", f"127.0.0.1:{port}", *self.write(folder)]

    def data(self, question: Question) -> dict[str, Any]:
        http = {
            "method": "POST",
            "path": "/",
            "headers": {"content-type": "application/json"},
            "body": json.dumps(self.facts(question)),
        }
        return {"attributes": {"request": {"http": http}}}

    def message(self, question: Question) -> bytes:
        header = wire.text(1, "content-type") + wire.text(2, "application/json")
        http = wire.join(
            wire.text(2, "POST"),
            wire.nested(3, header),
            wire.text(4, "/"),
            wire.text(11, json.dumps(self.facts(question))),
        )
        return wire.nested(1, wire.nested(4, wire.nested(2, http)))

    def accepts(self, body: bytes) -> bool:
        status = wire.first(body, 1)
        if not isinstance(status, bytes):
            raise ValueError("an answer without a status")
        return (wire.first(status, 1) or 0) == 0


class OpaEnvoy(OpaGrpc):
    """The same service by opa-envoy-plugin."""

    name = "OPA gRPC (opa-envoy-plugin)"
    tool = "opa-envoy-plugin"

    def command(self, folder: Path, port: int) -> list[str]:
        plugin = "plugins.envoy_ext_authz_grpc"
        return [
            *(self.binary, "run", "--server", "--addr", "127.0.0.1:0"),
            *("--log-level", "error", "--skip-version-check", "--optimize-store-for-read-speed"),
            *("--set", f"{plugin}.addr=127.0.0.1:{port}"),
            *("--set", f"{plugin}.path=postern/allow"),
            *("--set", f"{plugin}.enable-reflection=true"),
            *self.write(folder),
        ]
