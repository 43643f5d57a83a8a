"""Starts the servers, asks them one question, and reads what they cost."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import wire
from peer import Peer
from questions import Question

# How long a server may take to start.
START = 60.0


class Failed(Exception):
    """A server or a tool did not do what it was started for."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One process of a peer, with a folder of its own; stopped at the end of the `with`."""

    def __init__(self, peer: Peer, core: str | None) -> None:
        self.peer = peer
        self.core = core
        self.port = free_port()

    def __enter__(self) -> "Server":
        self.folder = Path(tempfile.mkdtemp(prefix="postern-peers-"))
        (self.folder / "set").mkdir()
        command = self.peer.command(self.folder / "set", self.port)
        pinned = [] if self.core is None else ["taskset", "-c", self.core]
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            environment = os.environ | {"CERBOS_NO_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
            self.process = subprocess.Popen(
                [*pinned, *command], stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self) -> None:
        """Waits until the port answers."""
        until = time.monotonic() + START
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        said = self.log.read_text(errors="replace")[-2000:]
        raise Failed(f"{self.peer.name} did not start:\n{said}")

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def url(self) -> str:
        """Where questions go."""
        return f"http://{self.address}{self.peer.path}"

    def cpu(self) -> float:
        """Seconds of CPU that all threads have used; from the scheduler where it tells."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (OSError, IndexError, ValueError):
                continue
        if total:
            return total / 1e9
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def accepts(self, question: Question) -> bool:
        """Asks one question, and reads the verdict."""
        message = self.peer.message(question)
        try:
            if self.peer.call is None:
                return self.peer.accepts(self.post(message))
            return self.peer.accepts(wire.unframe(self.unary(wire.frame(message))))
        except (ValueError, KeyError) as error:
            said = self.log.read_text(errors="replace")[-500:]
            raise Failed(f"{self.peer.name}: {error}; asked {question.json}\n{said}") from error

    def post(self, body: bytes) -> bytes:
        """One question over HTTP/1.1."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url(), body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def unary(self, body: bytes) -> bytes:
        """One question over gRPC, by nghttp, which comes with h2load."""
        headers = ("-Hcontent-type: application/grpc", "-Hte: trailers")
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            file.write(body)
            file.flush()
            command = ["nghttp", *headers, f"-d{file.name}", self.url()]
            return subprocess.run(command, capture_output=True, timeout=20, check=False).stdout
