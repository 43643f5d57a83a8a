"""Plots of the results, as SVG and PNG: `python plots.py FOLDER`. Needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

COLOURS = {"postern": "#1f77b4", "noop": "#7f7f7f", "noop-default": "#d62728"}
PARTS = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}


def save(figure: Any, folder: Path, name: str) -> None:
    """Writes a plot in both forms."""
    figure.tight_layout()
    for form in ("svg", "png"):
        figure.savefig(folder / f"{name}.{form}", dpi=120)
    plt.close(figure)


def against_load(result: dict[str, Any], folder: Path) -> None:
    """Latency and throughput against offered load."""
    rows = [row for row in result["medians"] if row["fraction"]]
    if not rows:
        return
    figure, grid = plt.subplots(2, 2, figsize=(12, 9))
    *latencies, throughput = grid.flat
    for server, colour in COLOURS.items():
        of = sorted((row for row in rows if row["server"] == server), key=lambda row: row["offered"])
        offered = [row["offered"] for row in of]
        for axes, key in zip(latencies, PARTS):
            axes.plot(offered, [row[key] for row in of], color=colour, marker=".", label=server)
        throughput.plot(offered, [row["calls_per_second"] for row in of], color=colour, marker=".", label=server)
    top = max(row["offered"] for row in rows)
    throughput.plot([0, top], [0, top], color="#cccccc", linewidth=1, label="as offered")
    for axes, name in zip(latencies, PARTS.values()):
        axes.set(xlabel="offered calls/s", ylabel="us", yscale="log", title=f"latency, {name}")
    throughput.set(xlabel="offered calls/s", ylabel="answered calls/s", title="throughput")
    for axes in grid.flat:
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"{result['scenario']}: the mix, {result['connectors']:,} connectors, open-loop")
    save(figure, folder, f"{result['scenario']}-{result['connectors']}")


def cpu(results: list[dict[str, Any]], folder: Path) -> None:
    """Server CPU per call, for each scenario at its most connectors."""
    largest: dict[str, dict[str, Any]] = {}
    for result in sorted(results, key=lambda one: one["connectors"]):
        if any(row["load"] == "h2load" for row in result["medians"]):
            largest[result["scenario"]] = result
    if not largest:
        return
    figure, axes = plt.subplots(figsize=(10, 5))
    for nth, (server, colour) in enumerate(COLOURS.items()):
        values = []
        for result in largest.values():
            of = [row for row in result["medians"] if (row["load"], row["server"]) == ("h2load", server)]
            values.append(of[0]["cpu_us"] if of else 0)
        places = [at + (nth - 1) * 0.27 for at in range(len(values))]
        bars = axes.bar(places, values, 0.26, color=colour, label=server)
        axes.bar_label(bars, fmt="%.1f", fontsize=7)
    axes.set_xticks(range(len(largest)))
    axes.set_xticklabels([f"{name}\n{of['connectors']:,}" for name, of in largest.items()], fontsize=8)
    axes.set(ylabel="server CPU, us per decision", title="Server CPU per decision (h2load)")
    axes.legend()
    save(figure, folder, "cpu")


def reload(result: dict[str, Any], folder: Path) -> None:
    """Percentiles while the set is saved again and again, and while not."""
    rows = [row for row in result["medians"] if row.get("p50_us")]
    figure, axes = plt.subplots(figsize=(8, 5))
    for nth, row in enumerate(rows):
        places = [at + (nth - (len(rows) - 1) / 2) * 0.8 / len(rows) for at in range(len(PARTS))]
        bars = axes.bar(places, [row[key] for key in PARTS], 0.75 / len(rows), label=row["load"])
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(range(len(PARTS)))
    axes.set_xticklabels(list(PARTS.values()))
    title = f"{result['connectors']:,} connectors saved again every second, and not"
    axes.set(ylabel="latency, us", yscale="log", title=title)
    axes.legend(fontsize=8)
    save(figure, folder, f"reload-{result['connectors']}")


def main() -> None:
    """Plots what is in a folder of results."""
    folder = Path(sys.argv[1])
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    results = [one for one in results if isinstance(one, dict) and "medians" in one]
    cpu(results, folder)
    for result in results:
        if result["scenario"] == "open":
            against_load(result, folder)
        if result["scenario"] == "reload":
            reload(result, folder)


if __name__ == "__main__":
    main()
