"""Load: what ghz and h2load are told, and what they tell."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processes import Server, pinned
from tools import ROOT, WORK, Failed

SERVICE = "postern.v1.PolicyDecisionService"
ANYWHERE = "127.0.0.1:50051"  # where Postern listens unless it is told otherwise
ATTEMPTS = 3  # of a load whose tool does not end
GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


@dataclass(frozen=True)
class Load:
    """A load that is put on one server after the other."""

    name: str
    tool: str
    connections: int
    in_flight: int = 1  # calls at once on each connection
    rate: int = 0  # calls a second, sent whether or not answers come; 0: as fast as they come
    stream: bool = False
    saving: bool = False
    fraction: float = 0.0  # of the rate that saturates


@dataclass
class Measured:
    """What a load did to a server."""

    calls: int
    seconds: float
    timed: list[tuple[float, float]]  # of each call when it began, in seconds, and how long it took, in us
    cpu_seconds: float = 0.0
    resident_kib: int = 0

    def figures(self) -> dict[str, Any]:
        """As it is written down."""
        return {
            "calls": self.calls,
            "seconds": round(self.seconds, 4),
            "cpu_us": round(self.cpu_seconds * 1e6 / max(self.calls, 1), 3),
            "calls_per_second": round(self.calls / self.seconds, 1),
            "p50_us": self.percentile(0.5),
            "p99_us": self.percentile(0.99),
            "p999_us": self.percentile(0.999),
            "resident_kib": self.resident_kib,
        }

    def percentile(self, part: float) -> float | None:
        """The latency that so many calls do not exceed."""
        if not self.timed:
            return None
        at = min(int(len(self.timed) * part), len(self.timed) - 1)
        return round(self.timed[at][1], 1)


class Driver:
    """Puts load on servers, from some cores."""

    def __init__(self, ghz: str, h2load: str, cores: str) -> None:
        self.ghz, self.h2load, self.cores = ghz, h2load, cores

    def put(self, load: Load, server: Server, data: Path, seconds: float) -> Measured:
        """Puts `load` on `server` for some time, and measures both."""
        jobs = self.jobs(load, server, data, seconds)
        for _ in range(ATTEMPTS):
            before, began = server.cpu_seconds(), time.monotonic()
            running = [start(pinned(self.cores, job.command), job.out) for job in jobs]
            ended = wait(running, seconds)
            took, after = time.monotonic() - began, server.cpu_seconds()
            if ended:
                break
            print(f"  {load.tool} did not end: once more", file=sys.stderr)
        else:
            raise Failed(f"{load.tool} does not end: {jobs[0].command}")
        server.check_runs()
        parts = [job.read() for job in jobs]
        return Measured(
            calls=sum(part.calls for part in parts),
            seconds=max(part.seconds for part in parts) or took,
            timed=steady(parts, seconds),
            cpu_seconds=after - before,
            resident_kib=server.resident_kib(),
        )

    def jobs(self, load: Load, server: Server, data: Path, seconds: float) -> list[Job]:
        """The programs that are this load."""
        make = self._ghz if load.tool == "ghz" else self._h2load
        return make(load, server, data, seconds)

    def lines(self, load: Load, server: Server, data: Path, seconds: float) -> list[str]:
        """Its commands, to copy."""
        jobs = self.jobs(load, server, data, seconds)
        return [shlex.join(job.shown).replace(server.address, ANYWHERE) for job in jobs]

    def _ghz(self, load: Load, server: Server, data: Path, seconds: float) -> list[Job]:
        kinds = ["stream"] if load.stream else ["inbound", "outbound"]
        counts = {kind: server.seen[kind].get("questions", 1) for kind in kinds}
        total = sum(counts.values())
        jobs: list[Job] = []
        for kind, count in counts.items():
            if not count:
                continue
            connections = max(load.connections * count // total, 1)
            rate = load.rate * count // total
            jobs.append(GhzJob(self.ghz, load, server, data, seconds, kind, connections, rate))
        return jobs

    def _h2load(self, load: Load, server: Server, data: Path, seconds: float) -> list[Job]:
        if load.stream:
            octets = server.seen["stream"]["octets"]
            answers = server.seen["stream"]["answers"]
            body = {"file": data / "stream.bin", "method": "CheckStream", "octets": octets}
            return [H2loadJob(self.h2load, load, server, body, seconds, load.connections, 0, answers)]
        bodies = server.seen["bodies"]
        each = max(load.connections // len(bodies), 1)
        rate = load.rate / len(bodies)
        return [H2loadJob(self.h2load, load, server, one, seconds, each, rate, 1) for one in bodies]


class Job:
    """One program that makes load."""

    command: list[str]
    shown: list[str]
    out: Path

    def read(self) -> Measured:
        """What it told."""
        raise NotImplementedError


class GhzJob(Job):
    """ghz, with questions that go around."""

    def __init__(
        self, ghz: str, load: Load, server: Server, data: Path, seconds: float, kind: str,
        connections: int, rate: int,
    ) -> None:
        method = {"inbound": "CheckInbound", "outbound": "CheckOutbound", "stream": "CheckStream"}[kind]
        self.each = server.seen["stream"]["answers"] if load.stream else 1
        self.out = scratch(f"ghz-{kind}.json")
        proto = ROOT / "proto"
        workers = connections * load.in_flight
        self.shown = [
            "ghz", "--insecure" if server.scheme == "http" else "--skipTLS", "--proto", "proto/postern/v1/policy.proto", "--import-paths", "proto",
            "--call", f"{SERVICE}/{method}", "--data-file", relative(data / f"{kind}.json"),
            "--disable-template-functions", "--disable-template-data",
            "--connections", str(connections), "--concurrency", str(workers),
        ]
        if server.token:
            self.shown += ["--metadata", json.dumps({"authorization": f"Bearer {server.token}"})]
        if rate:
            total = max(int(rate * seconds), workers)
            self.shown += ["--async", "--rps", str(rate), "--total", str(total)]
        else:
            self.shown += ["--duration", f"{int(seconds * 1000)}ms", "--duration-stop", "wait"]
        self.shown.append(server.address)
        self.command = [
            ghz if part == "ghz" else str(proto) if part == "proto" else part for part in self.shown
        ] + ["--format", "json"]

    def read(self) -> Measured:
        told = json.loads(self.out.read_text())
        status = told.get("statusCodeDistribution", {})
        if set(status) != {"OK"}:
            raise Failed(f"calls failed: {status} {told.get('errorDistribution')}")
        timed = [] if self.each > 1 else [(begun(one), one["latency"] / 1000) for one in told["details"]]
        return Measured(told["count"] * self.each, told["total"] / 1e9, timed)


class H2loadJob(Job):
    """h2load, with one question; it does not look at grpc-status, so the answers' octets are counted."""

    def __init__(
        self, h2load: str, load: Load, server: Server, body: dict[str, Any], seconds: float,
        connections: int, rate: float, each: int,
    ) -> None:
        self.octets, self.each, self.stream = body["octets"], each, load.stream
        self.most = connections * load.in_flight
        self.out = scratch(f"h2load-{Path(body['file']).stem}.txt")
        self.log = self.out.with_suffix(".log")
        self.log.unlink(missing_ok=True)
        self.shown = [
            "h2load", "--clients", str(connections), "--max-concurrent-streams", str(load.in_flight),
            "--data", relative(Path(body["file"])), *GRPC,
        ]
        if server.token:
            self.shown += ["-H", f"authorization: Bearer {server.token}"]
        if rate:
            # Each connection begins a millisecond after the last: they do not all send at once.
            total = max(int(rate * seconds), connections)
            self.shown += ["--rps", f"{rate / connections:.3f}", "--requests", str(total)]
            self.shown += ["--rate", "1", "--rate-period", "1ms"]
        else:
            self.shown += ["--duration", f"{max(int(seconds * 1000), 1)}ms"]
        self.shown.append(f"{server.scheme}://{server.address}/{SERVICE}/{body['method']}")
        self.command = [h2load, *self.shown[1:], "--log-file", str(self.log)]

    def read(self) -> Measured:
        text = self.out.read_text()
        requests = re.search(
            r"requests: \d+ total, (\d+) started, \d+ done, (\d+) succeeded,"
            r" (\d+) failed, (\d+) errored, (\d+) timeout",
            text,
        )
        octets = re.search(r"\((\d+)\) data", text)
        seconds = re.search(r"finished in ([\d.]+)(us|ms|s),", text)
        if not (requests and octets and seconds):
            raise Failed(f"h2load told: {text[-1500:]}")
        started, succeeded, *bad = map(int, requests.groups())
        if any(bad):
            raise Failed(f"calls failed: {requests.group(0)}")
        data = int(octets.group(1))
        if not succeeded * self.octets <= data <= (started + self.most) * self.octets:
            raise Failed(f"answers are not as long as they were: {data} octets, {succeeded} x {self.octets}")
        calls = data * self.each // self.octets if self.stream else succeeded
        return Measured(calls, to_seconds(*seconds.groups()), [] if self.stream else self.timed())

    def timed(self) -> list[tuple[float, float]]:
        """When every call began, and how long it took."""
        if not self.log.exists():
            return []
        rows = (line.split("\t") for line in self.log.read_text().splitlines())
        return [(int(row[0]) / 1e6, float(row[2])) for row in rows if len(row) >= 3]


def steady(parts: list[Measured], seconds: float) -> list[tuple[float, float]]:
    """All calls, the quickest first, but for those that began before all programs were at work.

    While programs start they take the core of the load from each other, which says nothing of the server.
    """
    begins = [min(part.timed)[0] for part in parts if part.timed]
    after = max(begins, default=0.0) + min(seconds * 0.15, 0.3)
    return sorted((one for part in parts for one in part.timed if one[0] >= after), key=lambda one: one[1])


def begun(call: dict[str, Any]) -> float:
    """When a call began, as ghz tells the time: with nine digits of a second."""
    whole, _, part = call["timestamp"].removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{part or 0}")


def start(command: list[str], out: Path) -> subprocess.Popen[bytes]:
    """Starts a program with its output in a file."""
    with out.open("wb") as file, out.with_suffix(".err").open("wb") as errors:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=errors)


def wait(running: list[subprocess.Popen[bytes]], seconds: float) -> bool:
    """Waits for programs; fails where one does. False where they take far too long.

    h2load now and then does not end where it connects late to a busy server (tonic's default runtime
    on a starved core); what it was to measure is measured again.
    """
    deadline = time.monotonic() + seconds * 4 + 30
    try:
        for one in running:
            if one.wait(max(deadline - time.monotonic(), 0.1)) != 0:
                raise Failed(f"`{one.args}` ended with {one.returncode}")
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
                one.wait()


def to_seconds(number: str, unit: str) -> float:
    """A time as h2load writes it."""
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit]


def relative(path: Path) -> str:
    """A path as it is said in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def scratch(name: str) -> Path:
    """A file that is overwritten by the next run."""
    folder = WORK / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
