"""What each way to ask costs beside the gRPC call alone, and mail through a Postfix with Postern and without."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import processes
from processes import Server, patience, pinned
from tools import Failed, say, tool

SERVICE = ("grpc", "http")
KINDS = (*SERVICE, "policy", "policy-unix", "exim", "socketmap", "milter")
CONNECTIONS = (1, 16, 64)
IDLE = 500


def connectors(folder: Path) -> None:
    """A set with a connector for each sender that asks."""
    partners = "".join(
        f'[[inbound]]\nname = "p{at}"\nmatch.sender_domains = ["partner{at}.test"]\nrequire.tls = "encrypt"\n'
        for at in range(500)
    )
    (folder / "connectors").mkdir(exist_ok=True)
    (folder / "connectors" / "default.toml").write_text(f"version = 1\n{partners}[end]\n")


def bridge(programs: Path, folder: Path, service: str, cores: str) -> tuple[Server, dict[str, str]]:
    """Starts a bridge with every door, and tells where they are."""
    ports = {door: free_port() for door in ("policy", "socketmap", "milter")}
    unix = folder / "policy.sock"
    settings = folder / "bridge.toml"
    settings.write_text(
        f'version = 1\n[service]\nendpoints = ["http://{service}"]\n[listeners]\nconnections = {len(FIRST) * IDLE}\n'
        f'[[policy]]\nlisten = "127.0.0.1:{ports["policy"]}"\n[[policy]]\nlisten = "unix:{unix}"\n'
        f'[[socketmap]]\nlisten = "127.0.0.1:{ports["socketmap"]}"\n'
        f'[[milter]]\nlisten = "127.0.0.1:{ports["milter"]}"\n[admin]\nlisten = "127.0.0.1:0"\n'
    )
    log = folder / "bridge.log"
    with log.open("w") as out:
        command = [str(programs / "postern"), "bridge", "--config", str(settings)]
        process = subprocess.Popen(pinned(cores, command), stdout=out, stderr=out, text=True)
    admin = ""
    for _ in patience():
        events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        admin = next((event["admin_listen"].split()[0] for event in events if "admin_listen" in event), "")
        if admin or process.poll() is not None:
            break
    if not admin:
        process.kill()
        raise Failed(f"the bridge did not start: {log.read_text()[-2000:]}")
    at = {door: f"127.0.0.1:{port}" for door, port in ports.items()}
    at |= {"policy-unix": f"unix:{unix}", "exim": at["policy"]}
    return Server("bridge", process, at["policy"], admin), at


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def measure(programs: Path, server_cores: str, load_cores: str, seconds: float, rounds: int) -> dict[str, Any]:
    """Asks in every way, in turns."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        connectors(folder)
        http = free_port()
        settings = f'version = 1\n[server]\nhttp_listen = "127.0.0.1:{http}"\n[connectors]\ndirectory = "connectors"\n'
        service = processes.postern(programs, folder, server_cores, folder / "service.log", settings)
        try:
            beside, at = bridge(programs, folder, service.address, server_cores)
            try:
                at |= {"grpc": service.address, "http": f"127.0.0.1:{http}"}
                # First: memory that was used once is used again.
                idle = idling(beside, at)
                for number in range(rounds):
                    for many in CONNECTIONS:
                        for kind in KINDS:
                            rows.append(once(programs, load_cores, seconds, number, many, kind, at, service, beside))
                mail = through_postfix(folder, at, seconds, rounds, beside)
            finally:
                beside.stop()
        finally:
            service.stop()
    result = {"part": "adapters", "rows": medians(rows), "idle": idle, "mail": mail, "runs": rows}
    return {**result, "markdown": table(result)}


def once(
    programs: Path, cores: str, seconds: float, number: int, many: int, kind: str, at: dict[str, str],
    service: Server, beside: Server,
) -> dict[str, Any]:
    """One run of one kind."""
    before = service.cpu_seconds(), beside.cpu_seconds()
    command = [str(programs / "adapters"), kind, at[kind], str(many), str(seconds)]
    done = subprocess.run(pinned(cores, command), capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{kind}: {done.stderr.strip()}")
    told = json.loads(done.stdout)
    used = service.cpu_seconds() - before[0], beside.cpu_seconds() - before[1]
    calls = told["calls"]
    return {
        "round": number, "connections": many, "kind": kind, "rate": calls / told["seconds"], "p50_us": told["p50_us"],
        "p99_us": told["p99_us"], "service_us": used[0] / calls * 1e6, "bridge_us": used[1] / calls * 1e6,
    }


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each kind, with the ratios of each round over the gRPC call."""
    found = []
    for many in CONNECTIONS:
        of = [row for row in rows if row["connections"] == many]
        grpc = {row["round"]: row for row in of if row["kind"] == "grpc"}
        for kind in KINDS:
            mine = [row for row in of if row["kind"] == kind]
            keys = ("rate", "p50_us", "p99_us", "service_us", "bridge_us")
            row = {key: statistics.median(one[key] for one in mine) for key in keys}
            for key in ("rate", "p99_us"):
                row[f"{key}_ratio"] = statistics.median(one[key] / grpc[one["round"]][key] for one in mine)
            found.append({"connections": many, "kind": kind, **row})
    return found


# What each door is asked once by a connection that then is idle, as those of mail servers are.
FIRST = {
    "policy": b"request=smtpd_access_policy\nprotocol_state=CONNECT\nclient_address=192.0.2.7\n\n",
    "socketmap": b"17:tls partner1.test,",
    "milter": bytes([0, 0, 0, 13, ord("O"), 0, 0, 0, 6, 0, 0, 1, 0xFF, 0, 0x1F, 0xFF, 0xFF]),
}


def idling(beside: Server, at: dict[str, str]) -> dict[str, float]:
    """How many KiB of the bridge an idle connection takes, at each door."""
    found, opened = {}, []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for door, first in FIRST.items():
        host, _, port = at[door].rpartition(":")
        before = beside.resident_kib()
        for _ in range(IDLE):
            one = socket.create_connection((host, int(port)), timeout=10)
            one.sendall(first)
            if not one.recv(1024):
                raise Failed(f"{door}: a connection was closed before it was idle")
            opened.append(one)
        found[door] = (beside.resident_kib() - before) / IDLE
    # Only now: what one door gave back, the next would use again.
    for one in opened:
        one.close()
    for _ in patience():
        if all(counted(beside, "connections", door) == 0 for door in FIRST):
            return found
    raise Failed("the bridge keeps connections that were closed")


def counted(beside: Server, metric: str, door: str) -> int:
    """What the bridge counts at one of its doors."""
    with urllib.request.urlopen(f"http://{beside.admin}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    mine = [line for line in lines if line.startswith(f"postern_bridge_{metric}{{") and f'protocol="{door}"' in line]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in mine))


MAIN = """compatibility_level = 3.6
queue_directory = {lab}/spool
data_directory = {lab}/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
maillog_file = {lab}/log
maillog_file_prefixes = {lab}
myhostname = mx.contoso.com
mydestination =
relay_domains = contoso.com
relay_transport = discard:
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
local_recipient_maps =
alias_database =
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
alias_maps =
smtpd_relay_restrictions = reject_unauth_destination
"""

MASTER = """127.0.0.1:{plain} inet n - n - - smtpd
127.0.0.1:{policy} inet n - n - - smtpd
  -o {{ smtpd_recipient_restrictions = check_policy_service {{ inet:{policy_at}, timeout=20s }} }}
127.0.0.1:{milter} inet n - n - - smtpd
  -o {{ smtpd_milters = {{ inet:{milter_at}, default_action=tempfail }} }}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(folder: Path, at: dict[str, str]) -> Iterator[dict[str, int]]:
    """A Postfix that takes mail and throws it away: without Postern, by policy and by milter."""
    lab = folder / "postfix"
    for part in ("etc", "spool", "data"):
        (lab / part).mkdir(parents=True)
    shutil.chown(lab / "data", "postfix")
    ports = {way: free_port() for way in ("plain", "policy", "milter")}
    (lab / "etc" / "main.cf").write_text(MAIN.format(lab=lab))
    (lab / "etc" / "master.cf").write_text(MASTER.format(**ports, policy_at=at["policy"], milter_at=at["milter"]))
    control = ["postfix", "-c", str(lab / "etc")]
    started = subprocess.run([*control, "start"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if started.returncode != 0:
        raise Failed(f"Postfix did not start: {started.stderr}")
    try:
        yield ports
    finally:
        subprocess.run([*control, "stop"], capture_output=True, stdin=subprocess.DEVNULL)


def through_postfix(folder: Path, at: dict[str, str], seconds: float, rounds: int, beside: Server) -> dict[str, float]:
    """Mails a second that smtp-source gets through, in turns; nothing where that cannot be tried."""
    source = tool("smtp-source") or shutil.which("smtp-source", path="/usr/sbin:/usr/lib/postfix/sbin")
    if source is None or os.geteuid() != 0 or tool("postfix") is None:
        say("  mail through Postfix: left out, it takes root, Postfix and its smtp-source")
        return {}
    mails = max(int(1_000 * seconds), 200)
    found: dict[str, list[float]] = {}
    with postfix(folder, at) as ports:
        for number in range(-1, rounds):
            for way, port in ports.items():
                # The first of each way starts Postfix's processes, and is not counted.
                count = mails if number >= 0 else 20
                asked = counted(beside, "questions_total", way)
                rate = put_through(source, port, count)
                asked = counted(beside, "questions_total", way) - asked
                if asked != (0 if way == "plain" else count):
                    raise Failed(f"{way}: {count} mails went through Postfix, and Postern was asked {asked} times")
                delivered(folder / "postfix" / "spool")
                if number >= 0:
                    found.setdefault(way, []).append(rate)
    return {way: statistics.median(rates) for way, rates in found.items()}


def put_through(source: str, port: int, mails: int) -> float:
    """Sends mails, each in a session of its own, and gives back how many went a second."""
    command = [
        source, "-s", "8", "-m", str(mails), "-l", "2048", "-f", "ann@elsewhere.example", "-t", "bob@contoso.com",
        f"127.0.0.1:{port}",
    ]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"smtp-source: {done.stderr[-500:]}")
    return mails / (time.monotonic() - begin)


def delivered(spool: Path) -> None:
    """Waits until nothing is queued: what one way has left is not to be paid by the next."""
    for _ in patience():
        if not any(file.is_file() for queue in ("incoming", "active") for file in (spool / queue).rglob("*")):
            return
    raise Failed("Postfix does not get through its queue")


def table(result: dict[str, Any]) -> str:
    """As Markdown."""
    lines = [
        "## adapters", "", "Each way to ask, a closed loop over so many connections; ratios over the gRPC call of the same round.", "",
        "| connections | asked by | questions/s | x gRPC | p50 us | p99 us | x gRPC | CPU us: service | bridge |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['connections']} | {row['kind']} | {row['rate']:,.0f} | {row['rate_ratio']:.2f} | {row['p50_us']:,.0f} "
            f"| {row['p99_us']:,.0f} | {row['p99_us_ratio']:.2f} | {row['service_us']:.1f} "
            f"| {row['bridge_us']:.1f} |"
        )
    lines += ["", f"An idle connection, of {IDLE} that had asked once, takes of the bridge, KiB: " + ", ".join(
        f"{door} {kib:.1f}" for door, kib in result["idle"].items())]
    if result["mail"]:
        plain = result["mail"]["plain"]
        lines += ["", "Mail through Postfix (smtp-source, 8 sessions): " + ", ".join(
            f"{way} {rate:,.0f}/s ({rate / plain:.2f}x)" for way, rate in result["mail"].items())]
    else:
        lines += ["", "Mail through Postfix: left out, it takes root, Postfix and its smtp-source."]
    return "\n".join(lines) + "\n"
