"""The tools that make load, and where everything is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
WORK = TARGET / "loadtest"
RESULTS = WORK / "results"
QUICK = WORK / "quick"
TOOLS = TARGET / "tools" / "bin"
GHZ = "github.com/bojand/ghz/cmd/ghz@v0.121.0"


class Missing(Exception):
    """Something that is needed is not here, and could not be had."""


class Failed(Exception):
    """A verdict is wrong, a call failed, or a program did not do what it should."""


def say(text: str) -> None:
    """Tells on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


def tool(name: str) -> str | None:
    """Where a program is: among the project's own tools, or on the path."""
    return shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")


def ghz() -> str:
    """Where ghz is; installs it with Go where it is not there."""
    found = tool("ghz")
    if found is None and shutil.which("go"):
        say(f"installing {GHZ} ...")
        run(["go", "install", GHZ], env={**os.environ, "GOBIN": str(TOOLS)})
        found = tool("ghz")
    if found is None:
        raise Missing(f"ghz: install Go 1.24 or later, or: go install {GHZ}")
    return found


def debian(name: str, package: str) -> str:
    """Where a program is; installs its package where that is possible."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {package} ...")
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", package])
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name}: install {package} (Debian: apt-get install {package})")
    return found


def build(profile: str) -> Path:
    """Builds Postern and what is here, and gives back the folder of the programs."""
    say(f"building, profile {profile} ...")
    run(["cargo", "build", "--locked", "--profile", profile, "-p", "postern", "-p", "postern-loadtest"])
    return TARGET / ("debug" if profile == "dev" else profile)


def python_with_plots() -> str | None:
    """A Python that has matplotlib: this one, or one in target/; none where neither can be."""
    have = "import matplotlib"
    if subprocess.run([sys.executable, "-c", have], capture_output=True).returncode == 0:
        return sys.executable
    folder = TARGET / "tools" / "python"
    python = folder / "bin" / "python"
    if not python.exists():
        say("installing matplotlib ...")
        try:
            venv.create(folder, with_pip=True)
            wanted = str(ROOT / "loadtest" / "requirements.txt")
            run([str(python), "-m", "pip", "install", "-q", "-r", wanted])
        except (Failed, OSError, subprocess.CalledProcessError) as error:
            say(f"no plots: matplotlib cannot be installed: {error}")
            shutil.rmtree(folder, ignore_errors=True)
            return None
    return str(python)


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Runs a program in the project's folder; its output goes to standard error."""
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=sys.stderr)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(command)}` ended with {done.returncode}")
