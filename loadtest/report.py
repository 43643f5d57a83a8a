"""Results as tables: what was measured, ratios over the servers that do not decide, targets."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def head(result: dict[str, Any]) -> list[str]:
    """The columns: figures, and each over that of the server it stands beside."""
    over = f"x {beside(result)}"
    default = ["x default"] if beside(result) == "noop" else []
    return [
        "load", "server", "CPU us/call", over, *default, "calls/s", over, "p50 us", "p99 us", over, "p99.9 us", over,
        "MB", over,
    ]


def beside(result: dict[str, Any]) -> str:
    """The server that the others are compared with."""
    there = {row["server"] for row in result["medians"]}
    return "noop" if "noop" in there or len(there) < 2 else "postern"


@dataclass(frozen=True)
class Target:
    """A target of the project, and how near it is."""

    what: str
    value: float | None
    limit: float
    at_least: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def row(self) -> list[str]:
        """As it stands in the table."""
        value = "not measured" if self.value is None else f"{self.value:.2f} {self.unit}"
        sign = ">=" if self.at_least else "<="
        met = {None: "-", True: "met", False: "missed"}[self.met]
        return [self.what, value, f"{sign} {self.limit:g} {self.unit}", met]


def find(results: list[dict[str, Any]], scenario: str, load: str, server: str, connectors: int = 0) -> dict[str, Any]:
    """The medians of a load on a server; those at the most connectors where none are named."""
    of = [one for one in results if one["scenario"] == scenario]
    of = [one for one in of if connectors in (0, one["connectors"])]
    for result in sorted(of, key=lambda one: -one["connectors"]):
        for row in result["medians"]:
            if (row["load"], row["server"]) == (load, server):
                return row
    return {}


def ratio(over: Any, under: Any) -> float | None:
    """One figure over another; none where either is missing."""
    return over / under if over and under else None


def paired(runs: list[dict[str, Any]], key: str, over: tuple[str, str], under: tuple[str, str]) -> float | None:
    """One (load, server) over another: the median of the ratios of each round, in which they took turns.

    What disturbs a round disturbs both, so this is steadier than the ratio of two medians.
    """
    of = {(run["round"], run["load"], run["server"]): run.get(key) for run in runs}
    rounds = sorted({run["round"] for run in runs})
    each = [ratio(of.get((number, *over)), of.get((number, *under))) for number in rounds]
    there = [value for value in each if value is not None]
    return statistics.median(there) if there else None


def largest(results: list[dict[str, Any]], scenario: str) -> list[dict[str, Any]]:
    """The runs of a scenario at the most connectors."""
    of = [one for one in results if one["scenario"] == scenario]
    return max(of, key=lambda one: one["connectors"])["runs"] if of else []


def worst(*values: float | None) -> float | None:
    """The largest of those that there are."""
    there = [value for value in values if value is not None]
    return max(there) if there else None


def targets(results: list[dict[str, Any]], folder: Path) -> list[Target]:
    """The targets that this tool measures, and those that other parts have left in their results."""

    def cpu(scenario: str, load: str, server: str) -> float | None:
        return find(results, scenario, load, server).get("cpu_us")

    def over(server: str) -> float | None:
        runs = largest(results, "inbound-accept")
        return worst(*(paired(runs, "cpu_us", (load, "postern"), (load, server)) for load in ("ghz", "h2load")))

    def saving(load: str) -> float | None:
        runs = largest(results, "reload")
        return paired(runs, "p999_us", (f"{load} saving", "postern"), (load, "postern"))

    half = paired(largest(results, "open"), "p99_us", ("h2load 50%", "postern"), ("h2load 50%", "noop"))

    idle = find(results, "idle", "idle", "postern", 10_000).get("resident_kib")

    def pipelined(load: str) -> float | None:
        return ratio(cpu("inbound-accept", load, "postern"), cpu("stream", load, "postern"))

    most = max((one["connectors"] for one in results if one["scenario"] == "inbound-accept"), default=0)
    at = f"{most:,} connectors"
    return [
        Target(f"server CPU per CheckInbound at {at}, over the no-op in the same runtime", over("noop"), 1.15),
        Target("the same over a no-op in tonic's default runtime", over("noop-default"), 0.80),
        Target("CheckStream decisions per server-CPU second, over unary (ghz)", pipelined("ghz"), 4, at_least=True),
        Target("CheckStream decisions per server-CPU second, over unary (h2load)", pipelined("h2load"), 4, at_least=True),
        Target("p99 at half of the saturating rate, over the no-op's", half, 1.3),
        Target("p99.9 of the mix while saved every second, over without (ghz)", saving("ghz"), 3),
        Target("p99.9 of the mix while saved every second, over without (h2load)", saving("h2load 25%"), 3),
        Target("resident memory with 10,000 connectors, idle", ratio(idle, 1024), 25, unit="MB"),
        *others(folder),
    ]


def others(folder: Path) -> list[Target]:
    """Targets in the results of benchmarks and peers: `"targets": [{"what", "value", "limit"}]`."""
    found = []
    for file in sorted(folder.glob("*.json")):
        told = json.loads(file.read_text())
        for one in told.get("targets", []) if isinstance(told, dict) else []:
            known = {key: one[key] for key in ("what", "value", "limit", "at_least", "unit") if key in one}
            found.append(Target(**known))
    return found


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table of one result."""
    by = {(row["load"], row["server"]): row for row in result["medians"]}
    table = []
    for (load, server), row in by.items():

        def against(key: str, other: str = beside(result)) -> str:
            value = None if server == other else paired(result["runs"], key, (load, server), (load, other))
            return f"{value:.2f}" if value else ""

        table.append([
            load if not row["offered"] else f"{load} ({row['offered']}/s)", server,
            number(row.get("cpu_us"), 2), against("cpu_us"),
            *([against("cpu_us", "noop-default")] if beside(result) == "noop" else []),
            number(row.get("calls_per_second")), against("calls_per_second"),
            number(row.get("p50_us")), number(row.get("p99_us")), against("p99_us"),
            number(row.get("p999_us")), against("p999_us"),
            number(row["resident_kib"] / 1024, 1), against("resident_kib"),
        ])
    return table


def number(value: Any, digits: int = 0) -> str:
    """A figure as it stands in a table."""
    return "" if value is None else f"{value:,.{digits}f}"


def markdown(head: list[str], body: list[list[str]]) -> str:
    """A table whose columns are aligned also as plain text."""
    widths = [max(len(row[at]) for row in [head, *body]) for at in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *body]]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def summary(folder: Path) -> str:
    """All the results in a folder, as Markdown."""
    results = load_all(folder)
    parts = ["# Load tests\n"]
    if results:
        of, where = results[0], results[0]["machine"]
        parts.append(
            f"{where['cpu']}, {where['cores']} cores, Linux {where['kernel']}; profile {of['profile']}; servers on"
            f" core {where['server_cores']}, load on core {where['load_cores']}; medians of {of['rounds']} rounds of"
            f" {of['seconds']:g} s.\n"
        )
    body = [target.row() for target in targets(results, folder)]
    parts.append("## Targets\n\n" + markdown(["what", "value", "target", ""], body) + "\n")
    for result in results:
        about = result["about"][:1].upper() + result["about"][1:]
        title = f"## {result['scenario']}, {result['connectors']:,} connectors\n\n{about}.\n"
        parts.append(f"{title}\n{markdown(head(result), rows(result))}\n")
        lines = [line for load, of in result["commands"].items() if load.startswith("ghz") for line in of]
        shown = "\n".join([result["serve"], *dict.fromkeys(lines)])
        parts.append(f"```sh\n{shown}\n```\n" if lines else "")
    told = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    parts += [one["markdown"] for one in told if isinstance(one, dict) and "markdown" in one]
    return "\n".join(parts)


def load_all(folder: Path) -> list[dict[str, Any]]:
    """The results of this tool that are there."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return [one for one in found if isinstance(one, dict) and "medians" in one]
