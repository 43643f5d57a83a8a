"""Ten times the rate that can be served: what is turned away, and what becomes of the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from drive import Driver, GhzJob, Load, Measured, begun
from processes import Server, pinned
from tools import Failed, say

TIMES = 10
CALM = Load("what can be served", "ghz", connections=50)
LEAST = 19  # the nicest: beside a busy loop on its core a server gets about a sixtieth of the time


class Starved:
    """Leaves a server little of its core, so that one machine can offer many times what it can serve."""

    def __init__(self, server: Server, cores: str) -> None:
        self.server, self.cores = server, cores.split(",")

    def __enter__(self) -> None:
        for thread in Path(f"/proc/{self.server.process.pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), LEAST)
        loop = [sys.executable, "-c", "while True: pass"]
        self.loops = [subprocess.Popen(pinned(core, loop)) for core in self.cores]

    def __exit__(self, *_: object) -> None:
        for loop in self.loops:
            loop.kill()
            loop.wait()


class Memory:
    """The most memory that a server has while this looks."""

    def __init__(self, server: Server) -> None:
        self.server, self.most, self.stop = server, 0, threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self.stop.wait(0.05):
            self.most = max(self.most, self.server.resident_kib())

    def __enter__(self) -> Memory:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


class Offered(GhzJob):
    """ghz where calls may be turned away, and in no other way fail."""

    turned_away = 0
    given_up = 0

    def read(self) -> Measured:
        told = json.loads(self.out.read_text())
        status = dict(told.get("statusCodeDistribution", {}))
        served = status.pop("OK", 0)
        self.turned_away = status.pop("Unavailable", 0)
        # By ghz itself: after 20 seconds, and when its own time is over.
        self.given_up = status.pop("DeadlineExceeded", 0) + status.pop("Canceled", 0)
        if status or not served:
            raise Failed(f"calls failed: {status}, {served} were served: {told.get('errorDistribution')}")
        timed = sorted((begun(one), one["latency"] / 1000) for one in told["details"] if one["status"] == "OK")
        return Measured(served, told["total"] / 1e9, timed)


def measure(driver: Driver, server: Server, data: Path, seconds: float, cores: str) -> list[dict[str, Any]]:
    """What can be served, and ten times of it offered."""
    before = server.resident_kib()
    with Starved(server, cores):
        calm = driver.put(CALM, server, data, seconds)
        rate = max(int(TIMES * calm.calls / calm.seconds), 100)
        load = Load("ten times", "ghz", connections=50, in_flight=4, rate=rate)
        job = Offered(driver.ghz, load, server, data, seconds * 2, "inbound", 50, rate)
        with Memory(server) as memory:
            ghz = subprocess.run(pinned(driver.cores, job.command), stdout=job.out.open("wb"), stderr=subprocess.PIPE)
        if ghz.returncode != 0:
            raise Failed(f"ghz ended with {ghz.returncode}: {ghz.stderr.decode()[:500]}")
        measured = job.read()
    measured.timed.sort(key=lambda one: one[1])
    measured.resident_kib = memory.most
    after = server.resident_kib()
    say(
        f"  {calm.calls / calm.seconds:,.0f}/s can be served; of {rate:,}/s {measured.calls:,} calls were served,"
        f" {job.turned_away:,} turned away, {job.given_up:,} given up; p99 of those served {measured.percentile(0.99):,.0f} us;"
        f" {before // 1024} MB before, {memory.most // 1024} at the most, {after // 1024} after"
    )
    of = {"round": 0, "server": server.name, "fraction": 0.0}
    memories = {"before_kib": before, "after_kib": after}
    return [
        {**of, "load": CALM.name, "offered": 0, **calm.figures()},
        {**of, "load": load.name, "offered": rate, **measured.figures(), "turned_away": job.turned_away, "given_up": job.given_up, **memories},
    ]
