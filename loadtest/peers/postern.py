"""Postern itself, asked CheckInbound as it comes out of the box."""

from pathlib import Path
from typing import Any

import wire
from agreement import Agreement
from peer import Peer
from questions import Question


class Postern(Peer):
    """`postern serve` on the set as it stands."""

    name = "Postern"
    tool = "postern"
    path = "/postern.v1.PolicyDecisionService/CheckInbound"
    call = "postern.v1.PolicyDecisionService/CheckInbound"

    def __init__(self, binary: str, agreed: Agreement, text: str) -> None:
        super().__init__(binary, agreed)
        self.text = text

    def command(self, folder: Path, port: int) -> list[str]:
        (folder / "generated.toml").write_text(self.text, encoding="utf-8")
        listen = ("--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0")
        return [self.binary, "serve", *listen, "--connectors", str(folder)]

    def data(self, question: Question) -> dict[str, Any]:
        return question.json

    def message(self, question: Question) -> bytes:
        return question.message()

    def accepts(self, body: bytes) -> bool:
        verdict = wire.first(body, 1)
        # ACCEPT; REJECT or DEFER, both of which keep the mail out.
        if verdict not in (1, 2, 4):
            raise ValueError(f"verdict {verdict} is neither an accept nor a refusal")
        return verdict == 1
