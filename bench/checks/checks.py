# SPDX-License-Identifier: Apache-2.0
"""The checks room: what a thousand health checks a second cost. bench/README.md says more."""
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time

import room
import spaces
from deadline import within
from rows import Rows
from spaces import run, run_in

PREFIX = "martinet-checks-"
DIRECTOR, SERVERS = f"{PREFIX}director", f"{PREFIX}servers"
NETWORK, FIRST, VIP = "10.77", 256, "10.77.200.1"
ADDRESSES, PORTS = 250, (80, 81, 82, 83)
COUNT = ADDRESSES * len(PORTS)
START_SECONDS, SECONDS, SMOKE_SECONDS = 60, 5, 1
CAPACITY = "capacity: {ipv4-connections: 1024, ipv6-connections: 1024, persistent-clients: 1024}"

# By name: the service's protocol, what the file says of a check, and what the asker in C calls it.
# Services ask pings of one real server together, so each is made four times as often.
PARTS = {
    "tcp": ("tcp", "kind: tcp, interval: 1", "tcp"),
    "tcp-vip": ("tcp", "kind: tcp, to: vip, interval: 1", None),
    "http": ("tcp", "kind: http, interval: 1", "http"),
    "udp": ("udp", "kind: udp, payload: x, require-reply: true, interval: 1", "udp"),
    "ping": ("tcp", "kind: ping, interval: 0.25", "ping"),
}


def arguments():
    options = room.parser("checks", __doc__, ("build",))
    options.add_argument(
        "--part", action="append", choices=PARTS, help="only this; may be repeated")
    return room.parsed(options)


def real_server(number):
    return f"{NETWORK}.{(FIRST + number) // 256}.{(FIRST + number) % 256}"


def set_up(stack, build):
    """A veth: the director at one end, the real servers, all of one process, at the other.

    What reaches either end is taken on the last CPU, as another host would for its part; the
    director and the asker have the first.
    """
    for space in (DIRECTOR, SERVERS):
        run("ip", "netns", "add", space)
        stack.callback(spaces.remove, space)
        run_in(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", space, "link", "set", "lo", "up")
    run("ip", "-n", DIRECTOR, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0",
        "netns", SERVERS)
    mask = f"{1 << last_cpu():x}"
    for space in (DIRECTOR, SERVERS):
        run_in(space, "ethtool", "-K", "lan0", "tx", "off", "tso", "off", "gso", "off")
        run("ip", "-n", space, "link", "set", "lan0", "up")
        # It shows the namespace's own /sys.
        run("ip", "netns", "exec", space, "sh", "-c",
            f"echo {mask} >/sys/class/net/lan0/queues/rx-0/rps_cpus")
    run("ip", "-n", DIRECTOR, "address", "add", f"{NETWORK}.255.1/16", "dev", "lan0")
    run("ip", "-n", SERVERS, "address", "add", f"{VIP}/32", "dev", "lo")
    run("ip", "-n", SERVERS, "address", "add", f"{NETWORK}.255.2/16", "dev", "lan0")
    run("ip", "-n", SERVERS, "route", "add", "local", f"{real_server(0)}/24", "dev", "lo")
    answerer = subprocess.Popen(
        spaces.inside(SERVERS, str(last_cpu()), f"{build}/answerer"), stdout=subprocess.PIPE,
        text=True)
    stack.callback(answerer.wait)
    stack.callback(answerer.kill)
    if answerer.stdout.readline() != "ready\n":
        raise SystemExit("FAIL: the real servers do not answer: their words are above")


def first_cpu():
    return min(os.sched_getaffinity(0))


def last_cpu():
    return max(os.sched_getaffinity(0))


class Director:
    """`martinet run` with all checks of one kind, or with none."""

    def __init__(self, program, folder, part=None):
        protocol, check, _ = PARTS[part] if part else ("tcp", None, None)
        health = f"health: {{checks: [{{{check}, timeout: 1}}]}}, " if check else ""
        servers = ", ".join(f"{{address: {real_server(each)}}}" for each in range(ADDRESSES))
        path, self.control = f"{folder}/martinet.yaml", f"{folder}/control.sock"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"interface: {{name: lan0, copy-mode: copy}}\n{CAPACITY}\nservices:\n")
            for port in PORTS:
                file.write(
                    f"- {{vip: {VIP}, protocol: {protocol}, port: {port}, {health}"
                    f"real-servers: [{servers}]}}\n")
        self.log = open(f"{folder}/log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            spaces.inside(DIRECTOR, str(first_cpu()), program, "run", "--config", path,
                          "--control", self.control), stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def checks(self):
        """None before it answers."""
        client = http.client.HTTPConnection("martinet")
        client.sock = socket.socket(socket.AF_UNIX)
        try:
            client.sock.connect(self.control)
            client.request("GET", "/v1/checks")
            return json.load(client.getresponse())
        except (FileNotFoundError, ConnectionError):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit(f"FAIL: martinet ended: {self.log.read()[-2000:]}") from None
            return None
        finally:
            client.close()

    def wait_for(self, condition, what):
        with within(START_SECONDS, what):
            while not condition(self.checks()):
                time.sleep(0.2)

    def processor_seconds(self):
        """User and system time of all its threads."""
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            path = f"/proc/{self.process.pid}/task/{thread}/schedstat"
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total * 1e-9

    def percent(self, seconds):
        """Of a processor, over so many seconds."""
        start, processor = time.monotonic(), self.processor_seconds()
        time.sleep(seconds)
        return 100 * (self.processor_seconds() - processor) / (time.monotonic() - start)


def answered(checks):
    failed = [each for each in checks if each["failures"]]
    if failed:
        raise SystemExit(f"FAIL: a check failed: {failed[0]}")
    return sum(each["successes"] for each in checks)


def measure(program, folder, part, seconds):
    """Percent of a processor that Martinet takes, all its checks being answered."""
    expected = ADDRESSES if part == "ping" else COUNT
    with Director(program, folder, part) as director:
        director.wait_for(
            lambda checks: checks and len(checks) == expected
            and all(each["successes"] > 1 for each in checks),
            f"{part}: waiting until each check has been answered twice")
        before, start = answered(director.checks()), time.monotonic()
        percent = director.percent(seconds)
        rate = (answered(director.checks()) - before) / (time.monotonic() - start)
    if not 900 <= rate <= 1100:
        raise SystemExit(f"FAIL: {part}: {rate:.0f} checks a second, not 1000")
    return percent


def ask(build, kind, seconds):
    """The same for the asker in C."""
    said = run(*spaces.inside(
        DIRECTOR, str(first_cpu()), f"{build}/asker", kind, str(seconds), real_server(0)))
    count, answers, percent = said.split()
    if int(answers) < 0.9 * int(count):
        raise SystemExit(f"FAIL: asker {kind}: {answers} of {count} were answered")
    return float(percent)


def measure_round(chosen, folder, parts, samples):
    seconds = SMOKE_SECONDS if chosen.smoke else SECONDS
    # The wire is the same for both: with an XDP program at its end.
    with Director(chosen.martinet, folder) as director:
        director.wait_for(lambda checks: checks is not None, "waiting for martinet without checks")
        samples.setdefault(("none", "martinet"), []).append(director.percent(seconds))
        for part in parts:
            if PARTS[part][2]:
                percent = ask(chosen.build, PARTS[part][2], seconds)
                samples.setdefault((part, "c-asker"), []).append(percent)
    for part in parts:
        percent = measure(chosen.martinet, folder, part, seconds)
        samples.setdefault((part, "martinet"), []).append(percent)
        room.progress(f"{part}: {percent:.2f} %")


def main():
    chosen = arguments()
    parts, samples = chosen.part or list(PARTS), {}
    with room.alone("checks", lambda: spaces.remove_all(PREFIX)) as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with within(START_SECONDS, "setting up the real servers"):
            set_up(stack, chosen.build)
        for number in range(1 if chosen.smoke else chosen.rounds):
            room.progress(f"round {number + 1}")
            measure_round(chosen, folder, parts, samples)
    rows = Rows("checks", chosen.commit, chosen.command)
    for (part, subject), values in sorted(samples.items()):
        peer = samples.get((part, "c-asker")) if subject == "martinet" else None
        rows.add(part, subject, "processor time", "% of a core", values,
                 "c-asker" if peer else None, peer)
    print(f"{rows.head()}\n{rows.table()}")
    if chosen.json:
        rows.write(chosen.json)


if __name__ == "__main__":
    room.enter(main)
