# SPDX-License-Identifier: Apache-2.0
"""The far end of a lane: frames out, frames back (station.c)."""
import json
import subprocess
from dataclasses import dataclass, replace

import testpmd
from lane import DIRECTOR_MAC
from spaces import inside

# Longer than another's generator takes to start and to stop.
FOREIGN_SECONDS = 0.5


@dataclass(frozen=True)
class Traffic:
    """What the station sends. `rate` 0: as much as goes. `size` leaves out the checksum."""

    rate: int = 0
    seconds: float = 1
    size: int = 60
    flows: int = 1000
    family: int = 4
    # live, socket, or testpmd, which has flows and a size of its own and no rate.
    source: str = "live"
    queues: int = 1
    batch: int = 64
    # A VIP: TCP SYNs to its flood port, each of `flows` from an address of its own, IPv4.
    syn_to: str = "-"
    # Without an arrival for so long the run is over.
    settle_ms: int = 200

    def at(self, rate, seconds):
        return replace(self, rate=int(rate), seconds=seconds)


class Arrivals:
    """What a run of the station came to."""

    def __init__(self, answer):
        self.sent = answer["sent"]
        self.seconds = answer["seconds"]
        self.delivered = sum(answer["real_servers"])
        self.per_real_server = answer["real_servers"]
        self.stray = answer["stray"]
        self.is_whole = answer["sent_digest"] == answer["taken_digest"]
        self.longest_ns = answer["longest_ns"]
        self._buckets = sorted((int(ns), count) for ns, count in answer["buckets"].items())

    @property
    def rate(self):
        """Delivered packets per second."""
        return self.delivered / self.seconds

    def percentile(self, share):
        """Nanoseconds from when a frame was due to when it came back, to 1.6 percent."""
        passed, wanted = 0, share * sum(count for _, count in self._buckets)
        for ns, count in self._buckets:
            passed += count
            if passed >= wanted:
                return ns
        return 0


class Station:
    """The process on far0 in `space`, pinned to `cpu`."""

    def __init__(self, space, build, cpu="0"):
        command = inside(space, cpu, f"{build}/station", "far0", f"{build}/station.bpf.o")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()
        self._space, self._cpu, self._foreign = space, cpu, None

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("FAIL: the station ended; its words are above.")
        return json.loads(line)

    def send(self, traffic, to=DIRECTOR_MAC):
        """Sends for that long and waits until what is under way has come back."""
        if traffic.source == "testpmd":
            return self._take(traffic, to)
        self._ask({**traffic.__dict__, "to": to})
        return Arrivals(self._answer())

    def _ask(self, words):
        print(*(f"{k}={v}" for k, v in words.items()), file=self.process.stdin, flush=True)

    def _take(self, traffic, to):
        """The same while testpmd sends. Its frames bear no number: only their count is compared."""
        self._foreign = self._foreign or testpmd.Sender(self._space, to, self._cpu)
        before = self._foreign.given()
        self._ask({"source": "none", "seconds": traffic.seconds + FOREIGN_SECONDS,
                   "settle_ms": traffic.settle_ms})
        seconds = self._foreign.send(traffic.seconds)
        answer = self._answer()
        answer.update(
            sent=self._foreign.given() - before, seconds=seconds,
            sent_digest=answer["taken_digest"])
        return Arrivals(answer)

    def close(self):
        if self._foreign:
            self._foreign.close()
        self.process.stdin.close()
        self.process.wait(10)
