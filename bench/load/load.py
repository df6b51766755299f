# SPDX-License-Identifier: Apache-2.0
"""The load room: how long a large site takes. bench/README.md says more."""
import contextlib
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

PREFIX = "martinet-load-"
DIRECTOR, LAN = f"{PREFIX}director", f"{PREFIX}lan"
COUNT, SMOKE_COUNT, GOAL_SECONDS, STEP_SECONDS = 10_000, 1000, 2, 60
CPUS = ",".join(map(str, sorted(os.sched_getaffinity(0))))


def address(network, number):
    return f"10.{network}.{number // 250}.{number % 250 + 1}"


def vip(number):
    return address(1, number)


def real_server(number):
    return address(2, number)


def site(weights):
    """The file: a service and a real server for each weight."""
    services = "".join(
        f"- {{vip: {vip(number)}, protocol: tcp, port: 80, scheduler: rr, "
        f"real-servers: [{{address: {real_server(number)}, weight: {weight}}}]}}\n"
        for number, weight in enumerate(weights))
    return f"interface: {{name: lan0, copy-mode: copy}}\nservices:\n{services}"


@contextlib.contextmanager
def room_for_neighbors(count):
    """The kernel's table holds so many more, as on a director of that size; it is the host's."""
    before = {}
    for name in ("gc_thresh3", "gc_thresh2"):
        path = f"/proc/sys/net/ipv4/neigh/default/{name}"
        with open(path, "r+", encoding="ascii") as file:
            before[path] = file.read()
            file.seek(0)
            file.write(str(int(before[path]) + count))
    try:
        yield
    finally:
        for path, value in before.items():
            with open(path, "w", encoding="ascii") as file:
                file.write(value)


def set_up(stack):
    """A veth: the director at one end; all real servers answer ARP at the other."""
    for space in (DIRECTOR, LAN):
        run("ip", "netns", "add", space)
        stack.callback(spaces.remove, space)
        run_in(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        run("ip", "-n", space, "link", "set", "lo", "up")
    run("ip", "-n", DIRECTOR, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0",
        "netns", LAN)
    for number, space in enumerate((DIRECTOR, LAN)):
        run("ip", "-n", space, "link", "set", "lan0", "up")
        run("ip", "-n", space, "address", "add", f"10.2.255.{number + 1}/16", "dev", "lan0")
    run("ip", "-n", LAN, "route", "add", "local", "10.2.0.0/17", "dev", "lo")


class Site:
    """A configuration file, and the director that it is for."""

    def __init__(self, program, folder, count):
        self.program, self.count = program, count
        self.path, self.control = f"{folder}/martinet.yaml", f"{folder}/control.sock"
        self.notify, self.log = f"{folder}/notify.sock", f"{folder}/log"

    def write(self, weights):
        with open(self.path, "w", encoding="ascii") as file:
            file.write(site(weights))

    def inside(self, *words):
        return spaces.inside(DIRECTOR, CPUS, self.program, *words)

    def seconds(self, *words):
        """What a command takes, from its start to its end."""
        start = time.monotonic()
        run(*self.inside(*words))
        return time.monotonic() - start

    @contextlib.contextmanager
    def running(self):
        """Yields the seconds from the start to READY=1."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
                open(self.log, "w", encoding="utf-8") as log:
            manager.bind(self.notify)
            manager.settimeout(0.5)
            start = time.monotonic()
            process = subprocess.Popen(
                self.inside("run", "--config", self.path, "--control", self.control),
                env={**os.environ, "NOTIFY_SOCKET": self.notify}, stdout=log, stderr=log)
            try:
                self.wait_for_ready(manager, process)
                yield time.monotonic() - start
            finally:
                process.terminate()
                process.wait()
                os.unlink(self.notify)

    def wait_for_ready(self, manager, process):
        with within(STEP_SECONDS, "waiting for READY=1"):
            while True:
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in manager.recv(4096).split(b"\n"):
                        return
                if process.poll() is not None:
                    with open(self.log, encoding="utf-8") as log:
                        raise SystemExit(f"FAIL: martinet ended: {log.read()[-2000:]}")

    def expect(self, weights):
        """The director has all services, their real servers with these weights."""
        rules = run(*self.inside("ipvsadm", "--control", self.control, "-S", "-n")).splitlines()
        found = sorted(rule.split()[-1] for rule in rules if rule.startswith("-a "))
        if len(rules) != 2 * self.count or found != sorted(map(str, weights)):
            raise SystemExit(f"FAIL: the director has not what its file says: {rules[:4]} ...")


def measure(each, samples):
    """A round."""
    def note(case, seconds):
        samples.setdefault(case, []).append(seconds)
        room.progress(f"{case}: {seconds:.2f} s")

    weights = [1] * each.count
    each.write(weights)
    note("check", each.seconds("config", "check", each.path))
    with each.running() as seconds:
        note("start", seconds)
        each.expect(weights)
        for case, weights in (("reload-one", [1] * (each.count - 1) + [2]),
                              ("reload-all", [3] * each.count)):
            each.write(weights)
            note(case, each.seconds("reload", "--control", each.control))
            each.expect(weights)


def main():
    chosen = room.parsed(room.parser("load", __doc__, ()))
    count = SMOKE_COUNT if chosen.smoke else COUNT
    samples, rows = {}, Rows("load", chosen.commit, chosen.command)
    with room.alone("load", lambda: spaces.remove_all(PREFIX)) as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(room_for_neighbors(2 * count))
        with within(STEP_SECONDS, "setting up the LAN"):
            set_up(stack)
        each = Site(chosen.martinet, folder, count)
        for number in range(1 if chosen.smoke else chosen.rounds):
            room.progress(f"round {number + 1}")
            with within(4 * STEP_SECONDS, "a round"):
                measure(each, samples)
    for case, values in samples.items():
        rows.add(f"{case}-{count}", "martinet", "time", "s", values)
    print(f"{rows.head()}\n{rows.table()}")
    if not chosen.smoke:
        start = rows.find(f"start-{count}", "martinet", "time")["median"]
        print(f"Goal: {count} services are loaded in under {GOAL_SECONDS} s: "
              f"{'met' if start < GOAL_SECONDS else 'NOT met'}, {start:.2f} s")
    if chosen.json:
        rows.write(chosen.json)


if __name__ == "__main__":
    room.enter(main)
