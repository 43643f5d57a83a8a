"""Servers that run while they are measured: Postern, and two that answer without deciding."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from tools import Failed

START_SECONDS = 60


def pinned(cores: str, command: list[str]) -> list[str]:
    """A command on some cores only; on any where none are given."""
    return ["taskset", "-c", cores, *command] if cores else command


@dataclass
class Server:
    """A server that runs."""

    name: str
    process: subprocess.Popen[str]
    address: str
    admin: str = ""
    scheme: str = "http"
    ca: Path | None = None
    token: str = ""
    seen: dict[str, Any] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        """The CPU time that all its threads have used, those that ended too."""
        # The clock of clock_getcpuclockid(3): nanoseconds, where /proc has ticks of 10 ms.
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9

    def resident_kib(self) -> int:
        """How much of its memory is in RAM."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise Failed(f"{self.name} has no memory")

    def status(self) -> dict[str, Any]:
        """Postern's /status."""
        with urllib.request.urlopen(f"http://{self.admin}/status", timeout=10) as page:
            return json.load(page)

    def digests(self) -> list[str]:
        """The digests of the sets in force."""
        return [one["digest"] for one in self.status()["connector_sets"]]

    def check_runs(self) -> None:
        """Fails where it has ended."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended with {self.process.returncode}")

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def postern(programs: Path, folder: Path, cores: str, log: Path, text: str = "version = 1\n") -> Server:
    """Starts Postern with these settings in `folder`; without others the sets are in `folder`/connectors."""
    settings = folder / "postern.toml"
    settings.write_text(text)
    anywhere = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    command = [str(programs / "postern"), "serve", "--config", str(settings), *anywhere]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(pinned(cores, command), stdout=out, stderr=out, text=True)
    for _ in patience():
        for line in log.read_text().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("message") == "serving":
                listen, admin = event["listen"].split()[0], event["admin_listen"].split()[0]
                return Server("postern", process, listen, admin)
        if process.poll() is not None:
            break
    process.kill()
    raise Failed(f"postern did not start: {log.read_text()[-2000:]}")


def noop(programs: Path, name: str, cores: str, sizes: tuple[int, int]) -> Server:
    """Starts a server that answers with so many octets, inbound and outbound, without deciding."""
    command = [str(programs / name), "--inbound", str(sizes[0]), "--outbound", str(sizes[1])]
    process = subprocess.Popen(pinned(cores, command), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if not address:
        process.kill()
        raise Failed(f"{name} did not start")
    return Server(name, process, address)


def collector(programs: Path, cores: str) -> Server:
    """Starts what takes traces."""
    process = subprocess.Popen(pinned(cores, [str(programs / "collector")]), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    if not address:
        process.kill()
        raise Failed("the collector did not start")
    return Server("collector", process, address)


def patience() -> Iterator[None]:
    """Comes back until too much time has passed."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)


class Saver:
    """Saves a set again and again as editors do, each time with another comment."""

    def __init__(self, server: Server, file: Path, every: float = 1.0) -> None:
        self.server, self.file, self.every = server, file, every
        self.saved = 0
        self.digests: set[str] = set()
        self.fault: Exception | None = None
        self._text = file.read_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Saver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.digests.update(self.server.digests())
            began = time.monotonic()
            while not self._stop.wait(0.1):
                if time.monotonic() >= began + self.saved * self.every:
                    self.save()
                self.digests.update(self.server.digests())
        except Exception as error:  # told by whoever waits for it
            self.fault = error

    def save(self) -> None:
        """Writes a new file beside the old one, and renames it."""
        self.saved += 1
        beside = self.file.with_name(f".{self.file.name}.new")
        with beside.open("wb") as out:
            out.write(f"# saved {self.saved} at {time.time_ns()}\n".encode())
            out.write(self._text)
        beside.rename(self.file)

    def check(self) -> dict[str, int]:
        """Fails unless it saved, and the server took up what was saved."""
        if self.fault:
            raise Failed(f"the set could not be saved again: {self.fault}")
        if len(self.digests) < 2:
            raise Failed(f"saved {self.saved} times, and the server took up nothing")
        return {"saved": self.saved, "taken_up": len(self.digests) - 1}
