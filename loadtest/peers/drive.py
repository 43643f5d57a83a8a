"""Puts load on a server, and says what the calls cost it.

ghz asks all questions in turn, one call at a time on each connection, as a fleet does, and checks
each status; it is itself the limit for a fast server. h2load is faster and speaks HTTP/1.1 as well;
it sends one body, so several run at once, each with another question. It does not look at answers:
what they are is asked before, when verdicts are compared.
"""

import json
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import wire
from questions import Question
from servers import Failed, Server

# ghz: how many connections, with one call at a time on each.
CONNECTIONS = 8
# h2load: how many processes, each with one connection, and how many calls at a time on each; over
# HTTP/1.1, which carries one call at a time, that many connections.
BODIES = 8
AT_ONCE = 16


@dataclass(frozen=True)
class Measured:
    """What one round of load showed."""

    calls: int
    seconds: float
    cpu_us: float
    p50_us: float
    p99_us: float
    memory_mib: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds

    def row(self) -> dict[str, float]:
        """The figures for the results' file."""
        return asdict(self) | {"calls_per_second": self.rate}


def percentile(latencies: list[float], share: float) -> float:
    """The latency that so great a share of calls stays within."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def pinned(core: str | None) -> list[str]:
    """What goes before a command to keep it on a core."""
    return ["taskset", "-c", core] if core else []


def ghz_line(ghz: str, server: Server, data: str, seconds: float) -> list[str]:
    """The ghz command, as it can be copied."""
    return [
        *(ghz, "--insecure", "--call", str(server.peer.call), "--data-file", data),
        *("--disable-template-data", "--disable-template-functions"),
        *("--concurrency", str(CONNECTIONS), "--connections", str(CONNECTIONS)),
        *("--duration", f"{seconds:g}s", "--duration-stop", "wait", "--format", "json"),
        server.address,
    ]


def by_ghz(
    ghz: str, server: Server, questions: list[Question], seconds: float, core: str | None
) -> Measured:
    """One round with ghz."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
        json.dump([server.peer.data(one) for one in questions], data)
        data.flush()
        command = ghz_line(ghz, server, data.name, seconds)
        print("  " + " ".join(command), flush=True)
        before, start = server.cpu(), time.monotonic()
        done = subprocess.run([*pinned(core), *command], capture_output=True, check=False)
        took, cpu = time.monotonic() - start, server.cpu() - before
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        raise Failed(f"ghz against {server.peer.name}: {done.stderr.decode()[-600:]}") from error
    wrong = {code: n for code, n in report["statusCodeDistribution"].items() if code != "OK"}
    if wrong:
        raise Failed(f"{server.peer.name}: calls failed under ghz: {wrong}")
    calls = report["count"]
    latencies = [one["latency"] / 1e3 for one in report["details"]]
    return Measured(
        calls,
        report["total"] / 1e9 or took,
        cpu / calls * 1e6,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        server.memory(),
    )


def by_h2load(
    server: Server, questions: list[Question], seconds: float, core: str | None
) -> Measured:
    """One round with h2load: several at once, each with another question."""
    multiplexed = ["-Hte: trailers", "-c1", f"-m{AT_ONCE}"]
    step = max(1, len(questions) // BODIES)
    chosen = questions[::step][:BODIES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = []
        for at, question in enumerate(chosen):
            message = server.peer.message(question)
            body = folder / f"{at}.body"
            body.write_bytes(wire.frame(message) if server.peer.call else message)
            kind = "grpc" if server.peer.call else "json"
            headers = [f"-Hcontent-type: application/{kind}"]
            headers += multiplexed if server.peer.call else ["--h1", f"-c{AT_ONCE}"]
            log = f"--log-file={folder / f'{at}.log'}"
            commands.append(
                [
                    *pinned(core),
                    *("h2load", "-t1", f"-D{seconds * 1000:.0f}ms", log, f"-d{body}"),
                    *(*headers, server.url()),
                ]
            )
        before = server.cpu()
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for command in commands
        ]
        said = [one.communicate()[0].decode() for one in running]
        cpu = server.cpu() - before
        latencies: list[float] = []
        for at in range(len(chosen)):
            for line in (folder / f"{at}.log").read_text().splitlines():
                _, status, micros = line.split()
                if status != "200":
                    raise Failed(f"{server.peer.name} answered status {status}")
                latencies.append(float(micros))
    for text in said:
        counts = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", text)
        if counts is None or any(int(count) for count in counts.groups()):
            raise Failed(f"h2load against {server.peer.name}:\n{text[-600:]}")
    if not latencies:
        raise Failed(f"{server.peer.name} answered nothing in time")
    return Measured(
        len(latencies),
        seconds,
        cpu / len(latencies) * 1e6,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        server.memory(),
    )
