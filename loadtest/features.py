"""What can be switched on beside the decisions, and what each costs: Postern, in several ways."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import processes
import tools
from processes import Server
from tools import Failed

TOKEN = "a-token-for-measurements-only"


@dataclass(frozen=True)
class Feature:
    """Something that is switched on, and nothing else."""

    name: str
    settings: Callable[[Surroundings], str]
    tls: bool = False
    token: bool = False


@dataclass
class Surroundings:
    """What settings may name: a folder for files, and where traces are taken."""

    folder: Path
    collector: str

    def certificate(self) -> tuple[Path, Path]:
        """A certificate for loopback, with its key: made once."""
        certificate, key = self.folder / "server.crt", self.folder / "server.key"
        if not certificate.exists():
            openssl = tools.debian("openssl", "openssl")
            command = [
                openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", str(key), "-out", str(certificate), "-days", "30", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE",
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise Failed(f"no certificate: {done.stderr}")
        return certificate, key


def traced(share: str) -> Callable[[Surroundings], str]:
    """Traces of a share of the calls."""
    return lambda here: f'[tracing]\nendpoint = "http://{here.collector}"\nsample = {share}\n'


def logged(here: Surroundings) -> str:
    """A line for every decision."""
    file = here.folder / "decisions.jsonl"
    file.unlink(missing_ok=True)
    return f'[decision_log]\nfile = "{file}"\n'


def tls(here: Surroundings) -> str:
    """A certificate for the listener."""
    certificate, key = here.certificate()
    return f'[server.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'


def callers(here: Surroundings) -> str:
    """One caller, known by its token."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    text = f'version = 1\n[[callers]]\nname = "gateways"\ntoken_sha256 = ["{digest}"]\nsets = ["*"]\n[end]\n'
    (here.folder / "callers.toml").write_text(text)
    return '[callers]\nfile = "callers.toml"\n'


FEATURES = (
    Feature("traces 1%", traced("0.01")),
    Feature("traces", traced("1.0")),
    Feature("decision log", logged),
    Feature("TLS", tls, tls=True),
    Feature("callers", callers, token=True),
)
NAMES = tuple(feature.name for feature in FEATURES)


def serve(feature: Feature, programs: Path, sets: Path, folder: Path, collector: str, cores: str, log: Path) -> Server:
    """Starts Postern with `feature` and the sets in `sets`."""
    folder.mkdir(parents=True, exist_ok=True)
    here = Surroundings(folder, collector)
    settings = f'version = 1\n{feature.settings(here)}[connectors]\ndirectory = "{sets}"\n'
    server = processes.postern(programs, folder, cores, log, settings)
    server.name = feature.name
    if feature.tls:
        server.scheme, server.ca = "https", folder / "server.crt"
    if feature.token:
        server.token = TOKEN
    return server
