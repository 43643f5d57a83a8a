"""The figures as JSON and as a table, with what Postern costs beside each peer."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drive import Measured

# At 1,000 connectors a decision of Postern's may cost this share of a peer's over gRPC.
TARGET = 1 / 20


@dataclass
class Results:
    """Everything that one run showed: by set, questions, load and server, a row a round."""

    rounds: dict[tuple[str, str, str, str], list[Measured]] = field(default_factory=dict)
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    grpc: dict[str, bool] = field(default_factory=dict)

    def add(self, what: tuple[str, str, str, str], measured: Measured) -> None:
        """One more round."""
        self.rounds.setdefault(what, []).append(measured)

    def medians(self) -> list[dict[str, Any]]:
        """A row for each server under each load: the medians of its rounds, and Postern's share."""
        rows = []
        for what, rounds in sorted(self.rounds.items(), key=lambda one: one[0][:3]):
            keys = rounds[0].row()
            row: dict[str, Any] = dict(zip(("set", "questions", "load", "server"), what))
            row |= {key: statistics.median(one.row()[key] for one in rounds) for key in keys}
            row["rounds"] = [one.row() for one in rounds]
            rows.append(row)
        for row in rows:
            own = self.own(rows, row)
            row["postern_cpu_ratio"] = own["cpu_us"] / row["cpu_us"] if own else None
        return rows

    @staticmethod
    def own(rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any] | None:
        """Postern's row under the same load."""
        same = [row["set"], row["questions"], row["load"], "Postern"]
        keys = ("set", "questions", "load", "server")
        return next((other for other in rows if [other[key] for key in keys] == same), None)

    def targets(self) -> list[dict[str, Any]]:
        """The target, for each peer asked over gRPC."""
        found = []
        for row in self.medians():
            ratio = row["postern_cpu_ratio"]
            if row["set"] != "1000" or row["server"] == "Postern" or not ratio:
                continue
            if not self.grpc[row["server"]]:
                continue
            under = f"1,000 connectors, {row['questions']}, {row['load']}"
            what = f"CPU per decision over {row['server']}, {under}"
            found.append({"what": what, "value": ratio, "limit": TARGET})
        return found

    def table(self) -> str:
        """All of it in Markdown."""
        lines = []
        for which, seen in self.verdicts.items():
            said = f"{seen['accepted']} accepts, {seen['refused']} refusals"
            lines.append(f"- verdicts, {which}: {said}, alike by {', '.join(seen['servers'])}")
        for name, why in self.missing.items():
            lines.append(f"- not here: {name}: " + " ".join(why.split()))
        heads = ("set", "questions", "load", "server", "CPU µs per decision", "Postern's share")
        heads += ("decisions/s", "p50 µs", "p99 µs", "memory MiB")
        lines += ["", "| " + " | ".join(heads) + " |", "| --- " * 4 + "| ---: " * 6 + "|"]
        for row in self.medians():
            share = row["postern_cpu_ratio"]
            other = f"1/{1 / share:.1f}" if share and row["server"] != "Postern" else ""
            lines.append(
                f"| {row['set']} | {row['questions']} | {row['load']} | {row['server']} "
                f"| {row['cpu_us']:.1f} | {other} "
                f"| {row['calls_per_second']:,.0f} | {row['p50_us']:,.0f} | {row['p99_us']:,.0f} "
                f"| {row['memory_mib']:.0f} |"
            )
        if self.targets():
            lines += ["", "| what | value | target | |"]
            lines += ["| --- | ---: | ---: | --- |"]
        for one in self.targets():
            met = "met" if one["value"] <= one["limit"] else "missed"
            value, limit = (f"1/{1 / one[key]:.1f}" for key in ("value", "limit"))
            lines.append(f"| {one['what']} | {value} | {limit} | {met} |")
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> Path:
        """Writes peers.json and peers.md into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "measurements": self.medians(),
            "verdicts": self.verdicts,
            "missing": self.missing,
            "targets": self.targets(),
        }
        (folder / "peers.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        (folder / "peers.md").write_text(self.table(), encoding="utf-8")
        return folder / "peers.json"
