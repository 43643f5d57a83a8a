"""Finds the programs, and installs those that can be had.

Go programs go into target/tools/bin, Cerbos from npm into target/tools/npm; h2load is installed as
root on Debian. What cannot be had is said, with the error.
"""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = ROOT / "target/tools/bin"
NPM = ROOT / "target/tools/npm"

OPA = "github.com/open-policy-agent/opa@v1.22.2"
OPA_ENVOY = "github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin@v1.10.0-envoy"
GHZ = "github.com/bojand/ghz/cmd/ghz@v0.121.0"
CERBOS = "cerbos@0.51.0"


@dataclass
class Tools:
    """Where each program is, and why some are not there."""

    may_install: bool
    found: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def install(self, name: str, path: Path, command: list[str], folder: Path = ROOT) -> None:
        """Finds a program, or installs it by a command."""
        if not path.exists() and not self.may_install:
            self.missing[name] = f"not installed, and left so: {' '.join(command)}"
            return
        if not path.exists():
            print(f"installing {name} ...", flush=True)
            error = run(command, folder)
            if not path.exists():
                self.missing[name] = error or f"`{' '.join(command)}` did not make {path.name}"
                return
        self.found[name] = str(path)


def run(command: list[str], folder: Path) -> str:
    """Runs an installer; the end of what it said, where it failed."""
    try:
        environment = os.environ | {"GOBIN": str(BIN), "GOFLAGS": "-buildvcs=false"}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{' '.join(command)}`: {error}"
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-600:]


def h2load(tools: Tools) -> None:
    """Finds h2load and nghttp, which come together."""
    wanted = tools.may_install and shutil.which("h2load") is None
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing nghttp2-client ...", flush=True)
        run(["apt-get", "update", "-qq"], ROOT)
        run(["apt-get", "install", "-y", "-qq", "nghttp2-client"], ROOT)
    for name in ("h2load", "nghttp", "taskset"):
        path = shutil.which(name)
        if path:
            tools.found[name] = path
        else:
            package = "util-linux" if name == "taskset" else "nghttp2-client"
            tools.missing[name] = f"Debian: apt-get install {package}"


def cerbos() -> Path:
    """Where npm puts the server itself; its wrapper would leave it behind when stopped."""
    system = platform.system().lower()
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"cerbos-{system}-{machine}"
    return NPM / "node_modules/@cerbos" / package / package


def prepare(may_install: bool) -> Tools:
    """Everything that a run can use."""
    BIN.mkdir(parents=True, exist_ok=True)
    tools = Tools(may_install)
    go = ["go", "install"]
    ours = BIN / "opa-grpc"
    source = HERE / "opa-grpc/main.go"
    if may_install and ours.exists() and ours.stat().st_mtime < source.stat().st_mtime:
        ours.unlink()
    build = ["go", "build", "-o", str(ours), "."]
    npm = ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(NPM), CERBOS]
    tools.install("opa", BIN / "opa", [*go, OPA])
    tools.install("opa-envoy-plugin", BIN / "opa-envoy-plugin", [*go, OPA_ENVOY])
    tools.install("opa-grpc", ours, build, HERE / "opa-grpc")
    tools.install("cerbos", cerbos(), npm)
    tools.install("ghz", BIN / "ghz", [*go, GHZ])
    h2load(tools)
    return tools
