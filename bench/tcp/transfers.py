# SPDX-License-Identifier: Apache-2.0
"""The room's cases: transfers alone, and transfers beside a SYN flood."""
import contextlib
import time

import loads
from deadline import within
from lan import NETWORK
from loads import KEEP_ALIVE, UPLOAD, Client
from room import progress
from station import Station, Traffic
from trial import cpu_times
from ways import MARTINET_VIP, TWIN_VIP

SECONDS, SMOKE_SECONDS = 3, 1
# A transfer from which the hypervisor took more than this of the CPUs is made again.
STOLEN_LIMIT, TAKES = 0.02, 3
# How much longer than its traffic anything may take.
EXTRA_SECONDS = 30
STRAIGHT, PLAIN, ROUTE, TWIN, OURS = (
    "straight", "straight-plain", "route-plain", "c-director", "martinet")
# Spoofed sources, as many as an IPv4 /8 has: 16 s pass before one comes again at 1 M/s.
FLOOD_SOURCES = 1 << 24
FLOOD_RATES = {"100k": 100_000, "1m": 1_000_000}
SMOKE_FLOOD_RATES = {"20k": 20_000}
FLOOD_SECONDS = 3
# Where it goes; the smoke leaves the first out. The sink gets as much as the director got.
AIMS = ("none", "director", "sink")
# Connections are made and windows have opened before the flood comes.
LEAD_SECONDS = 0.5
# A flood that is over is still under way through queues.
REST_SECONDS = 0.2


class Transfers:
    """Runs cases on a site and puts what came of them into rows."""

    def __init__(self, chosen, site, rows):
        self.site, self.rows, self.smoke = site, rows, chosen.smoke
        self.rounds = 1 if chosen.smoke else chosen.rounds
        self.notes = [
            f"MISSING: {load.name}: {reason}"
            for load in loads.ALL if (reason := loads.missing(load))]
        for note in self.notes:
            progress(note)
        self.loads = [load for load in loads.ALL if not loads.missing(load)]
        self.broken = 0

    def alone(self):
        """Each load by each way, the ways taking turns."""
        for load in self.loads:
            progress(load.name)
            # At smoke size every director once, then Martinet.
            ways = [way for way in self.site.ways
                    if not self.smoke or way.name == OURS
                    or load is self.loads[0] and way.client is self.site.plain]
            found = {way.name: [] for way in ways}
            for _ in range(self.rounds):
                for way in ways:
                    found[way.name].append(self._transfer(load, way))
            self._add(load.name, found, STRAIGHT)

    def _transfer(self, load, way):
        seconds = SMOKE_SECONDS if self.smoke else SECONDS
        for _ in range(1 if self.smoke else TAKES):
            before, began = cpu_times(), time.monotonic()
            with self._client(load, way, seconds) as client:
                outcome = client.outcome()
            spent, after = time.monotonic() - began, cpu_times()
            stolen = sum(b[2] - a[2] for a, b in zip(before, after)) / spent / len(after)
            if stolen <= STOLEN_LIMIT:
                break
            progress(f"  {way.name}: made again, {stolen:.1%} stolen")
        self._note_failures(f"{load.name} by {way.name}", client, outcome)
        return outcome.figures

    @contextlib.contextmanager
    def _client(self, load, way, seconds):
        with within(seconds + EXTRA_SECONDS, f"{load.name} by {way.name}"):
            client = Client(load, way, seconds)
            try:
                yield client
            finally:
                client.stop()

    def _note_failures(self, what, client, outcome):
        if outcome.failed:
            progress(f"  {what}: {outcome.failed} FAILED: {client.said.strip()[-600:]}")
            self.broken += outcome.failed

    def _add(self, case, found, peer):
        """`found`: figures per way and round; a round without any has failed, and is said."""
        for name, each in found.items():
            whole = [i for i, figures in enumerate(each) if figures]
            for metric, unit in each[whole[0]] if whole else ():
                key = (metric, unit)
                other = None
                if name != peer and peer in found and unit != "%":
                    other = [found[peer][i].get(key, 0) for i in whole]
                row = self.rows.add(
                    case, name, metric, unit, [each[i][key] for i in whole], other and peer, other)
                progress(f"  {name}: {row['median']} {unit} {metric}")

    def flood(self):
        """Transfers by a director while it, or a sink in its place, gets SYNs of strangers."""
        station = Station(self.site.flooder.space, self.site.build)
        try:
            for load in (KEEP_ALIVE, UPLOAD):
                if load in self.loads and not (self.smoke and load is UPLOAD):
                    self._flood(load, station)
        finally:
            station.close()

    def _flood(self, load, station):
        ways = [way for way in self.site.ways if way.name in (OURS, TWIN)
                and not (self.smoke and way.name == TWIN)]
        rates = SMOKE_FLOOD_RATES if self.smoke else FLOOD_RATES
        for label, rate in rates.items():
            case = f"flood-{label}-{load.name}"
            progress(case)
            found = {way.name: {aim: [] for aim in AIMS[self.smoke:]} for way in ways}
            for _ in range(self.rounds):
                for way in ways:
                    offered = rate
                    for aim, samples in found[way.name].items():
                        samples.append(self._beside(load, way, aim, offered, station))
                        offered = samples[-1][1] * 1e6 or rate
            for name, samples in found.items():
                self._add_flood(case, name, samples)

    def _add_flood(self, case, name, samples):
        def column(aim, place):
            return [each[place] for each in samples.get(aim, ())]

        kept = self.rows.add(
            case, name, "transfer", "Mbit/s", column("director", 0), "flood to a sink",
            column("sink", 0))
        self.rows.add(
            case, name, "transfer, flood to a sink", "Mbit/s", column("sink", 0), "no flood",
            column("none", 0))
        self.rows.add(case, name, "offered", "Mpps", column("director", 1))
        self.rows.add(case, name, "offered, to a sink", "Mpps", column("sink", 1))
        self.rows.add(case, name, "forwarded", "Mpps", column("director", 2))
        self.rows.add(case, name, "failed connections", "connections", column("director", 3))
        progress(f"  {name}: {kept['ratio']} of the transfer kept")

    def _beside(self, load, way, aim, rate, station):
        """(Mbit/s at the server during the flood, offered and forwarded Mpps, failed)"""
        seconds = SMOKE_SECONDS if self.smoke else FLOOD_SECONDS
        vip = TWIN_VIP if way.name == TWIN else MARTINET_VIP
        to = way.director.lane.mac if aim == "director" else self.site.sink.mac
        traffic = Traffic(
            flows=FLOOD_SOURCES, syn_to=f"{NETWORK}{vip}", settle_ms=20).at(rate, seconds)
        with self._client(load, way, seconds + 1) as client:
            time.sleep(LEAD_SECONDS)
            octets, began = self.site.server.octets(), time.monotonic()
            if aim == "none":
                time.sleep(seconds)
                offered = forwarded = 0
            else:
                arrivals = station.send(traffic, to)
                offered, forwarded = arrivals.sent, arrivals.delivered
            octets = self.site.server.octets() - octets
            spent = time.monotonic() - began
            outcome = client.outcome()
        self._note_failures(f"{load.name} by {way.name}, flood to {aim}", client, outcome)
        if self.smoke and aim == "director" and not forwarded:
            raise SystemExit(f"FAIL: {way.name} forwarded none of {offered} SYNs")
        time.sleep(REST_SECONDS)
        return octets * 8 / spent / 1e6, offered / spent / 1e6, forwarded / spent / 1e6, \
            outcome.failed


def reasons(rows):
    """What was aimed at, and what lies between Martinet and the straight way."""
    lines = []

    def share(load, metric, subject, peer):
        ours, theirs = (rows.find(load, name, metric) for name in (subject, peer))
        return ours["median"] / theirs["median"] if ours and theirs and theirs["median"] else None

    for load, metric in (("http-keep-alive", "requests"), ("http-per-connection", "connections"),
                         ("tcp-upload", "goodput"), ("tcp-download", "goodput"),
                         ("udp-upload", "goodput")):
        whole = share(load, metric, OURS, STRAIGHT)
        if whole is None:
            continue
        parts = [
            f"{name} {value:.2f}" for name, value in (
                ("without segmentation offload", share(load, metric, PLAIN, STRAIGHT)),
                ("a hop through the kernel", share(load, metric, ROUTE, PLAIN)),
                ("AF_XDP in copy mode instead, in C", share(load, metric, TWIN, ROUTE)),
                ("Martinet instead", share(load, metric, OURS, TWIN))) if value]
        verdict = "reached" if whole >= 0.9 else "NOT REACHED"
        lines.append(f"{verdict}: 0.9 of straight, {load}: {whole:.2f} = {' x '.join(parts)}")
    for row in rows.rows:
        if (row["subject"], row["metric"]) == (OURS, "transfer"):
            verdict = "reached" if row["ratio"] >= 0.8 else "NOT REACHED"
            lines.append(f"{verdict}: 0.8 kept in {row['case']}: {row['ratio']:.2f}")
    return "\n".join(lines)
