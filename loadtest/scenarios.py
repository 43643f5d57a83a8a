"""The scenarios: which questions, which load, which servers; run in turns, and written down."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import features
import overload
import processes
from drive import Driver, Load
from processes import Saver, Server
from tools import ROOT, WORK, Failed, say

SERVERS = ("postern", "noop", "noop-default")


@dataclass(frozen=True)
class Scenario:
    """Something that is measured."""

    name: str
    about: str
    questions: str
    loads: tuple[Load, ...]
    connectors: tuple[int, ...] = (10, 1_000, 100_000)
    servers: tuple[str, ...] = SERVERS
    fractions: tuple[float, ...] = ()  # h2load at these parts of the rate that saturates, too


UNARY = (
    Load("ghz", "ghz", connections=8, in_flight=4),
    Load("h2load", "h2load", connections=10, in_flight=12),
)
FLEET = (
    Load("ghz", "ghz", connections=50),
    Load("h2load", "h2load", connections=50),
)
# Open-loop: more connections, so that none has to wait for its own answers.
OPEN = tuple(Load(f"ghz {rate}/s", "ghz", 50, 1, rate) for rate in (1_000, 2_000, 4_000))
SATURATE = Load("saturation", "h2load", connections=200)

SCENARIOS = (
    Scenario("inbound-accept", "mail that meets what its domain and its network demand", "inbound-accept", UNARY),
    Scenario("inbound-reject", "mail that fails three demands", "inbound-reject", UNARY),
    Scenario("outbound-plan", "how to deliver, before connecting", "outbound-plan", UNARY),
    Scenario("outbound-enforce", "whether a session may carry the mail", "outbound-enforce", UNARY),
    Scenario(
        "stream", "the questions of inbound-accept, pipelined over CheckStream", "inbound-accept",
        (Load("ghz", "ghz", 4, stream=True), Load("h2load", "h2load", 4, stream=True)),
    ),
    Scenario("fleet", "the mix over 50 connections, one call at a time each", "mix", FLEET),
    Scenario(
        "open", "the mix at fixed rates, whether or not answers come", "mix", OPEN, (100_000,),
        fractions=(0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.15),
    ),
    Scenario(
        "reload", "the mix at a fixed rate, while the set is saved again every second, and while not", "mix",
        (Load("ghz", "ghz", 50, 1, 2_000), Load("ghz saving", "ghz", 50, 1, 2_000, saving=True)),
        (100_000,), ("postern",), fractions=(0.25,),
    ),
    Scenario(
        "features", "what can be switched on, each by itself, beside Postern without it", "inbound-accept", UNARY,
        (1_000,), ("postern", *features.NAMES),
    ),
    Scenario(
        "overload", "ten times the rate that can be served, on a sixtieth of a core", "inbound-accept", (), (1_000,),
        ("postern",),
    ),
    Scenario("idle", "memory where nothing is asked any more", "mix", (), (10_000,), ("postern",)),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


@dataclass(frozen=True)
class Plan:
    """How much is measured, and where."""

    programs: Path
    profile: str
    seconds: float
    rounds: int
    server_cores: str
    load_cores: str
    results: Path
    count: int
    idle_seconds: float
    reload_seconds: float


class Bench:
    """One scenario at one size: servers, questions, runs."""

    def __init__(self, plan: Plan, driver: Driver, scenario: Scenario, connectors: int) -> None:
        self.plan, self.driver, self.scenario, self.connectors = plan, driver, scenario, connectors
        self.name = f"{scenario.name}-{connectors}"
        self.folder = WORK / "sets" / str(connectors)
        self.file = self.folder / "connectors" / "generated.toml"
        self.servers: list[Server] = []
        self.collector: Server | None = None
        self.runs: list[dict[str, Any]] = []
        self.commands: dict[str, list[str]] = {}

    def measure(self) -> dict[str, Any]:
        """Runs it all, writes it down, and gives it back."""
        say(f"{self.name}: {self.scenario.about}")
        generate(self.plan.programs, self.connectors, self.file)
        try:
            self.start()
            if self.scenario.name == "idle":
                self.idle()
            elif self.scenario.name == "overload":
                server, plan = self.servers[0], self.plan
                seconds = max(plan.seconds, 1.0)
                self.runs += overload.measure(self.driver, server, self.data(server), seconds, plan.server_cores)
            else:
                self.rounds()
        finally:
            for server in [*self.servers, *filter(None, [self.collector])]:
                server.stop()
        return self.write()

    def data(self, server: Server) -> Path:
        """Where the questions to a server are."""
        return WORK / "questions" / self.name / server.name

    def start(self) -> None:
        """Starts the servers, and holds their answers to what the scenario claims."""
        cores = self.plan.server_cores
        postern = processes.postern(self.plan.programs, self.folder, cores, WORK / "postern.log")
        self.servers.append(postern)
        self.verify(postern)
        sizes = (postern.seen["inbound"]["octets"], postern.seen["outbound"]["octets"])
        for name in self.scenario.servers[1:]:
            server = self.other(name, sizes)
            self.servers.append(server)
            self.verify(server)

    def other(self, name: str, sizes: tuple[int, int]) -> Server:
        """Starts what stands beside Postern."""
        programs, cores = self.plan.programs, self.plan.server_cores
        feature = next((one for one in features.FEATURES if one.name == name), None)
        if feature is None:
            return processes.noop(programs, name, cores, sizes)
        if self.collector is None:
            self.collector = processes.collector(programs, self.plan.load_cores)
        folder = WORK / "features" / name.replace(" ", "-")
        return features.serve(feature, programs, self.file.parent, folder, self.collector.address, cores, folder / "log")

    def verify(self, server: Server) -> None:
        """Asks all questions once."""
        command = [
            str(self.plan.programs / "ask"), f"{server.scheme}://{server.address}", self.scenario.questions,
            "--connectors", str(self.connectors), "--count", str(self.plan.count),
            "--out", str(self.data(server)),
        ]
        command += ["--noop"] if server.name.startswith("noop") else []
        command += ["--ca", str(server.ca)] if server.ca else []
        command += ["--token", server.token] if server.token else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{self.name}: {server.name} answers otherwise: {done.stderr[:3000]}")
        server.seen = json.loads(done.stdout)

    def rounds(self) -> None:
        """Each load on each server in turns, again and again."""
        loads = [*self.scenario.loads, *self.offered()]
        seconds = self.seconds()
        for load in loads:
            first = self.servers[0]
            self.commands[load.name] = self.driver.lines(load, first, self.data(first), seconds)
            for line in self.commands[load.name][:1]:
                say(f"  {line}")
        for number in range(self.plan.rounds):
            for load in loads:
                for server in self.servers:
                    self.run(number, load, server)

    def offered(self) -> list[Load]:
        """h2load at fixed rates: parts of the rate at which Postern is saturated."""
        if not self.scenario.fractions:
            return []
        postern = self.servers[0]
        most = self.driver.put(SATURATE, postern, self.data(postern), self.plan.seconds)
        rate = most.calls / most.seconds
        say(f"  saturated at {rate:,.0f} calls/s")
        loads = []
        for fraction in self.scenario.fractions:
            offered = max(int(rate * fraction) // 100 * 100, 100)
            name = f"h2load {fraction:.0%}"
            loads.append(Load(name, "h2load", 200, 32, offered, fraction=fraction))
            if self.scenario.name == "reload":
                saving = Load(f"{name} saving", "h2load", 200, 32, offered, fraction=fraction, saving=True)
                loads.append(saving)
        return loads

    def seconds(self) -> float:
        """How long a run takes: with reloads at least some of them."""
        return self.plan.reload_seconds if self.scenario.name == "reload" else self.plan.seconds

    def run(self, number: int, load: Load, server: Server) -> None:
        """One load on one server."""
        data, seconds = self.data(server), self.seconds()
        extra: dict[str, Any] = {}
        if load.saving:
            with Saver(server, self.file) as saver:
                measured = self.driver.put(load, server, data, seconds)
            extra = saver.check()
        else:
            if self.scenario.name == "reload":
                settle(server)
            measured = self.driver.put(load, server, data, seconds)
        figures = measured.figures()
        run = {"round": number, "server": server.name, "load": load.name, "offered": load.rate}
        self.runs.append({**run, "fraction": load.fraction, **figures, **extra})
        latencies = " ".join(f"{key[:-3]} {figures[key]}" for key in ("p50_us", "p99_us", "p999_us"))
        say(
            f"  {number + 1} {load.name:<18} {server.name:<13} {figures['cpu_us']:>8.2f} us/call"
            f" {figures['calls_per_second']:>9.0f}/s  {latencies} us  {figures['resident_kib'] // 1024} MB"
        )

    def idle(self) -> None:
        """The memory of a server that has been left alone for some time."""
        server = self.servers[0]
        time.sleep(self.plan.idle_seconds)
        resident = server.resident_kib()
        say(f"  {resident / 1024:.1f} MB resident")
        run = {"round": 0, "server": server.name, "load": "idle", "offered": 0, "fraction": 0.0}
        self.runs.append({**run, "resident_kib": resident})

    def write(self) -> dict[str, Any]:
        """Writes the results down."""
        seen = {
            server.name: {key: server.seen.get(key) for key in ("questions", "connectors", "inbound", "outbound")}
            for server in self.servers
        }
        result = {
            "scenario": self.scenario.name,
            "about": self.scenario.about,
            "connectors": self.connectors,
            "profile": self.plan.profile,
            "seconds": self.plan.seconds,
            "rounds": self.plan.rounds,
            "machine": machine(self.plan),
            "verified": seen,
            "serve": f"postern serve --connectors {self.file.parent.relative_to(ROOT)}",
            "commands": self.commands,
            "medians": medians(self.runs),
            "runs": self.runs,
        }
        self.plan.results.mkdir(parents=True, exist_ok=True)
        (self.plan.results / f"{self.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        return result


def generate(programs: Path, connectors: int, file: Path) -> None:
    """Writes a set anew, as it was before anything saved it again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([str(programs / "generate"), str(connectors), str(file)])
    if done.returncode != 0:
        raise Failed(f"the set of {connectors} connectors could not be generated")


def settle(server: Server) -> None:
    """Waits until the server has nothing left to do."""
    for _ in processes.patience():
        before = server.cpu_seconds()
        time.sleep(0.3)
        if server.cpu_seconds() - before < 0.02:
            return
    raise Failed(f"{server.name} does not come to rest")


def medians(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each load and server: the median of each figure over the rounds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        groups[run["load"], run["server"]].append(run)
    rows = []
    for of in groups.values():
        row = dict(of[0])
        del row["round"]
        for key, value in of[0].items():
            values = [run[key] for run in of if isinstance(run.get(key), (int, float))]
            if key not in ("round", "offered", "fraction") and isinstance(value, (int, float)) and values:
                row[key] = round(statistics.median(values), 3)
        rows.append(row)
    return rows


def machine(plan: Plan) -> dict[str, Any]:
    """Where it was measured."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "server_cores": plan.server_cores,
        "load_cores": plan.load_cores,
    }
