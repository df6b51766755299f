# SPDX-License-Identifier: Apache-2.0
"""One trial: traffic through a subject, where every frame went, and what it cost."""
from dataclasses import dataclass, field

TICKS = 100  # USER_HZ: the unit of /proc/stat


def cpu_times():
    """Seconds per CPU: (busy in softirq, busy otherwise, stolen), over all its life."""
    times = []
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith("cpu") and line[3].isdigit():
                user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
                times.append(
                    ((irq + softirq) / TICKS, (user + nice + system) / TICKS, steal / TICKS))
    return times


@dataclass
class Trial:
    """`ledger` says where the frames sent have gone; "unaccounted" must be 0."""

    arrivals: object
    # Frames that were to be sent; None where as many as go.
    planned: int | None
    ledger: dict = field(default_factory=dict)
    # Of all CPUs without the station's own, per delivered packet.
    cpu_ns: float = 0
    # Share of the CPUs' time that the hypervisor gave to others.
    stolen: float = 0

    @property
    def lost(self):
        return self.arrivals.sent - self.arrivals.delivered

    @property
    def unaccounted(self):
        return self.ledger["unaccounted"]


def attempt(subject, station, traffic, station_cpu=0):
    """Runs the traffic while all other subjects rest."""
    subject.go_on()
    lane, own = subject.lane.counters(), subject.counters()
    before = cpu_times()
    arrivals = station.send(traffic, subject.mac)
    after = cpu_times()
    lane = _difference(subject.lane.counters(), lane)
    own = None if own is None else _difference(subject.counters(), own)
    subject.pause()
    trial = Trial(
        arrivals, int(traffic.rate * traffic.seconds) or None,
        _ledger(arrivals, lane, own, subject.is_in_kernel))
    spent = [tuple(b - a for a, b in zip(*pair)) for pair in zip(before, after)]
    # The station's thread runs beside softirqs on its CPU; those are the director's.
    busy = sum(
        softirq + (0 if cpu == station_cpu else other)
        for cpu, (softirq, other, _) in enumerate(spent))
    trial.cpu_ns = busy * 1e9 / max(1, arrivals.delivered)
    trial.stolen = sum(steal for _, _, steal in spent) / max(1e-9, arrivals.seconds * len(spent))
    return trial


def _difference(after, before):
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _ledger(arrivals, lane, own, is_in_kernel):
    """Where each frame of `sent` has gone. A subject that does not count loses the rest."""
    ledger = {
        name: lane[name] for name in ("far ring full", "socket full", "xdp drop", "lan0 tx full")
    }
    if not is_in_kernel:
        ledger["to the kernel"] = lane["to the kernel"]
    ledger |= own or {}
    ledger["delivered"] = arrivals.delivered
    rest = arrivals.sent - sum(ledger.values())
    if own is None:
        ledger["in the peer"], rest = rest, 0
    ledger["unaccounted"] = rest
    return {name: count for name, count in ledger.items() if count or name == "unaccounted"}
