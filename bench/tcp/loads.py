# SPDX-License-Identifier: Apache-2.0
"""What clients do, and the servers that answer them."""
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field

from spaces import inside

# As in wire/lab.h, where the C director has them.
HTTP_PORT, IPERF_PORT, FLOOD_PORT = 80, 5201, 81
CONNECTIONS = 32
BODY = "x" * 128
CPUS = ",".join(map(str, sorted(os.sched_getaffinity(0))))

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen {port} backlog=4096;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""


@dataclass
class Outcome:
    """`failed` connections, and figures by (metric, unit)."""

    failed: int
    figures: dict = field(default_factory=dict)


class Wrk:
    """HTTP requests, as many as go, on `CONNECTIONS` connections at a time."""

    program, package = "wrk", "wrk"

    def __init__(self, name, figure, *headers):
        self.name, self.figure, self.headers = name, figure, headers

    def command(self, address, seconds):
        return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s",
                *(word for header in self.headers for word in ("-H", header)),
                f"http://{address}:{HTTP_PORT}/"]

    def outcome(self, said):
        rate = re.search(r"^Requests/sec:\s+([\d.]+)$", said, re.MULTILINE)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                           said)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        failed = sum(map(int, errors.groups())) if errors else 0
        failed += int(refused[1]) if refused else 0
        if not rate:
            return Outcome(failed + 1)
        return Outcome(failed, {(self.figure, "1/s"): float(rate[1])})


class Iperf:
    """One transfer, as much as goes."""

    program, package = "iperf3", "iperf3"

    def __init__(self, name, *options):
        self.name, self.options = name, options

    def command(self, address, seconds):
        return ["iperf3", "-c", address, "-p", str(IPERF_PORT), "-t", str(seconds), "-J",
                "--connect-timeout", "5000", *self.options]

    def outcome(self, said):
        try:
            document = json.loads(said)
            if "error" in document:
                return Outcome(1)
            return Outcome(0, self.figures(document["end"]))
        except (ValueError, KeyError):
            return Outcome(1)

    def figures(self, end):
        return {("goodput", "Mbit/s"): end["sum_received"]["bits_per_second"] / 1e6}


class IperfDatagrams(Iperf):
    """UDP, of which some is lost where more is sent than can be taken."""

    OCTETS = 1448

    def __init__(self, name):
        super().__init__(name, "-u", "-b", "0", "-l", str(self.OCTETS))

    def figures(self, end):
        total = end["sum"]
        taken = total["packets"] - total["lost_packets"]
        return {
            ("goodput", "Mbit/s"): taken * self.OCTETS * 8 / total["seconds"] / 1e6,
            ("lost", "%"): total["lost_percent"],
        }


KEEP_ALIVE = Wrk("http-keep-alive", "requests")
UPLOAD = Iperf("tcp-upload")
ALL = (
    KEEP_ALIVE,
    Wrk("http-per-connection", "connections", "Connection: close"),
    UPLOAD,
    Iperf("tcp-download", "-R"),
    IperfDatagrams("udp-upload"),
)


def missing(load):
    """Why a load cannot run here, or None."""
    needed = [(load.program, load.package)]
    if isinstance(load, Wrk):
        needed.append(("nginx", "nginx"))
    for program, package in needed:
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            return f"no {program}: apt-get install {package}"
    return None


def start_servers(stack, site):
    """nginx, and an iperf3 per address: its answers to UDP must come from where it was asked."""
    folder = f"{site.build}/tcp"
    os.makedirs(folder, exist_ok=True)
    commands = []
    if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(NGINX.format(folder=folder, port=HTTP_PORT, body=BODY))
        commands.append(["nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"])
    if shutil.which("iperf3"):
        for address in site.addresses():
            commands.append(["iperf3", "-s", "-B", address, "-p", str(IPERF_PORT)])
    for command in commands:
        process = subprocess.Popen(
            inside(site.server.space, CPUS, *command), stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
    _wait_until_listening(site.server.space, len(commands))


def _wait_until_listening(space, count):
    for _ in range(200):
        shown = subprocess.run(
            inside(space, CPUS, "ss", "-Htln"), capture_output=True, text=True, check=True)
        if len(shown.stdout.splitlines()) >= count:
            return
        time.sleep(0.05)
    raise SystemExit("FAIL: the servers do not listen; their words are above.")


class Client:
    """A load under way."""

    def __init__(self, load, way, seconds):
        self.load = load
        self.process = subprocess.Popen(
            inside(way.client.space, CPUS, *load.command(way.address, seconds)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def outcome(self):
        self.said, _ = self.process.communicate()
        outcome = self.load.outcome(self.said)
        if self.process.returncode:
            outcome.failed = max(1, outcome.failed)
        return outcome

    def stop(self):
        self.process.kill()
        self.process.wait()
