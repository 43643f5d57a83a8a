"""What the run needs of each server that it asks."""

from pathlib import Path
from typing import Any

from agreement import Agreement, Origin, bucket
from questions import Question


class Peer:
    """One server, and how to ask it. The process of a Peer is started by servers.py."""

    # As the tables call it.
    name: str
    # The program, as tools.py knows it.
    tool: str
    # The HTTP path of the question.
    path: str
    # The gRPC method; None over REST.
    call: str | None

    def __init__(self, binary: str, agreed: Agreement) -> None:
        self.binary = binary
        self.agreed = agreed

    def bucket(self, question: Question) -> str:
        """The first bits of the client address, by which networks are looked up."""
        return bucket(self.agreed, question.facts.client_ip)

    def command(self, folder: Path, port: int) -> list[str]:
        """Writes what the server loads into a folder; the command that starts it on a port."""
        raise NotImplementedError

    def data(self, question: Question) -> dict[str, Any]:
        """The question in JSON, for ghz."""
        raise NotImplementedError

    def message(self, question: Question) -> bytes:
        """The question in the bytes of the call."""
        raise NotImplementedError

    def accepts(self, body: bytes) -> bool:
        """Whether an answer lets the mail pass."""
        raise NotImplementedError


def names_of(origin: Origin) -> tuple[list[str], list[str]]:
    """Names that a certificate may present, and suffixes of `.name` for configured wildcards.

    A presented `*.x.com` stands for the one label before `x.com`; `x.com` needs two labels.
    """
    exact: list[str] = []
    suffixes: list[str] = []
    for name in origin.names:
        if name.startswith("*."):
            suffixes.append(name[1:])
            continue
        exact.append(name)
        parent = name.partition(".")[2]
        if "." in parent:
            exact.append(f"*.{parent}")
    return exact, suffixes
