# SPDX-License-Identifier: Apache-2.0
"""What the room measures, part by part."""
from statistics import median

import testpmd
from guest import KernelIPVS, KernelRouter
from room import progress
from station import Traffic
from subjects import ALL as EVERYONE
from subjects import CDirector, MacSwap, Martinet, TestPMD, XDPTransmit

CONTROL, TWIN = MacSwap.name, CDirector.name
SEARCHED, DETERMINED = "highest without loss", "none lost in a minute"
# As much as goes; every frame beyond what the subject bears is lost, and the ledger says where.
OVERLOADS = {
    "ipv4-1k": Traffic(),
    "ipv4-100k": Traffic(flows=100_000),
    "ipv6-1k": Traffic(family=6, size=78),
    "ipv4-1k-1514": Traffic(size=1514),
    "ipv4-1k-skb": Traffic(source="socket"),
    "ipv4-256-testpmd": Traffic(source="testpmd"),
}
SMOKE_OVERLOADS = ("ipv4-1k", "ipv6-1k", "ipv4-1k-skb")
SEARCH_STEPS = 7
SEARCHES = 3
SEARCH_SECONDS = 1.5
# Frames lost once may be lost to a CPU that the hypervisor has taken for as long as a ring is deep.
SEARCH_TAKES = 2
# RFC 2544 section 24: a search may take short trials, the final determination takes full ones. Each
# that loses frames is followed by one at so much of its rate; nine times that is an eighth.
FULL_SECONDS = 60
FULL_TRIALS = 10
FULL_STEP = 0.8
HOLD_SHARE = 0.9
# The hypervisor takes a CPU for some milliseconds now and then, which is p99 of a trial that meets
# it. Most short ones do not: a round's figure is the median of so many. They are shorter than what
# the kernel lets real-time threads have in a row (950 ms), too.
LATENCY_SECONDS = 0.25
LATENCY_TURNS = 15
LOADS = (10, 50, 90)
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def overload(stand):
    """Lanes are opened anew for each round: where their memory lies moves a rate by some percent,
    which rounds on the same lanes would not show."""
    trials = {}
    for number in range(stand.rounds):
        with stand.anew():
            for case, kinds, traffic in _overloads(stand):
                progress(f"round {number + 1} of {stand.rounds}: {case}")
                for member in stand.members(kinds, traffic.queues):
                    of_case = trials.setdefault(case, {})
                    of_case.setdefault(member[0].name, []).append(stand.trial(member, traffic))
    for case, of_case in trials.items():
        _add_overload(stand, case, of_case, CONTROL)


def _overloads(stand):
    """(case, classes of subjects, traffic) of those that can run here."""
    for name, traffic in OVERLOADS.items():
        if stand.smoke and name not in SMOKE_OVERLOADS:
            continue
        if traffic.source == "testpmd" and testpmd.MISSING:
            stand.note(f"MISSING: overload-{name}: {testpmd.MISSING}")
            continue
        yield f"overload-{name}", EVERYONE, traffic
    yield "overload-2-queues", (Martinet, MacSwap, CDirector), Traffic(source="socket", queues=2)


def _add_overload(stand, case, trials, control):
    progress(case)
    rates = {name: [t.arrivals.rate / 1e6 for t in each] for name, each in trials.items()}
    costs = {name: [t.cpu_ns for t in each] for name, each in trials.items()}
    for name, each in trials.items():
        peer = None if name == control else control
        row = stand.rows.add(
            case, name, "delivered", "Mpps", rates[name], peer, peer and rates.get(peer))
        stand.rows.add(
            case, name, "CPU time", "ns", costs[name], peer, peer and costs.get(peer))
        for place in dict.fromkeys(place for t in each for place in t.ledger):
            stand.rows.add(
                case, name, f"share {place}", "%",
                [100 * t.ledger.get(place, 0) / max(1, t.arrivals.sent) for t in each])
        progress(f"  {name}: {row['median']} Mpps")


def incumbent(stand):
    """Kernel IPVS in user-mode Linux: a ratio to the same guest that only routes (guest.py)."""
    progress("incumbent")
    members = stand.members((KernelRouter, KernelIPVS, Martinet))
    trials = stand.rounds_of(members, Traffic())
    _add_overload(stand, "incumbent-ipv4-1k", trials, KernelRouter.name)


def rate(stand):
    """The highest rate without loss, RFC 2544 §26.1, by halving a bounded number of times; that of
    Martinet and the control by trials of a minute then."""
    progress("rate: the highest without loss")
    members = stand.members((Martinet, MacSwap, CDirector, TestPMD, XDPTransmit))
    found = {subject.name: [] for subject, _ in members}
    for _ in range(1 if stand.smoke else SEARCHES):
        for member in members:
            found[member[0].name].append(_search(stand, member))
            progress(f"  {member[0].name}: {found[member[0].name][-1]:.0f}")
    for name, rates in found.items():
        peer = None if name == CONTROL else CONTROL
        stand.rows.add(
            "rate-ipv4-1k", name, SEARCHED, "Mpps", [r / 1e6 for r in rates], peer,
            peer and [r / 1e6 for r in found.get(peer, [])])
    if not stand.smoke:
        for member in stand.members((Martinet, MacSwap)):
            _determine(stand, member)


def _determine(stand, member):
    name = member[0].name
    pps = 1e6 * stand.rows.find("rate-ipv4-1k", name, SEARCHED)["median"]
    for _ in range(FULL_TRIALS):
        trial = stand.trial(member, Traffic().at(pps, FULL_SECONDS))
        progress(f"  {name}: a minute at {pps:.0f}: {trial.lost} of {trial.arrivals.sent} lost")
        if _is_whole(trial):
            stand.rows.add("rate-ipv4-1k", name, DETERMINED, "Mpps", [pps / 1e6])
            return
        pps *= FULL_STEP
    lowest = pps / FULL_STEP
    stand.note(f"MISSING: {name}: frames lost in each minute, down to {lowest:.0f} a second")


def _search(stand, member):
    low, high = 0, 1.2 * stand.trial(member, Traffic()).arrivals.rate
    for _ in range(1 if stand.smoke else SEARCH_STEPS):
        middle = (low + high) / 2
        takes = (
            stand.trial(member, Traffic().at(middle, SEARCH_SECONDS)) for _ in range(SEARCH_TAKES))
        low, high = (middle, high) if any(map(_is_whole, takes)) else (low, middle)
    return low


def _is_whole(trial):
    """Whether nothing was lost. A station that fell behind its schedule has shown nothing."""
    return not trial.lost and trial.arrivals.sent >= 0.999 * trial.planned


def hold(stand):
    """Loss at 90 percent of that rate, for a minute."""
    progress("hold: 90 percent of it for a minute")
    for member in stand.members((Martinet, MacSwap)):
        name = member[0].name
        traffic = Traffic().at(HOLD_SHARE * _highest(stand, name), FULL_SECONDS)
        trial = stand.trial(member, traffic)
        stand.rows.add("hold-90", name, "lost", "frames", [trial.lost])
        stand.rows.add("hold-90", name, "delivered", "Mpps", [trial.arrivals.rate / 1e6])
        progress(f"  {name}: {trial.lost} of {trial.arrivals.sent} lost: {trial.ledger}")


def _highest(stand, name):
    """In packets per second; searched for if that part was left out. Where no minute was without
    loss, or none was asked for, that of the short trials."""
    case = "rate-ipv4-1k"
    if not stand.rows.find(case, name, SEARCHED):
        rate(stand)
    found = stand.rows.find(case, name, DETERMINED)
    return 1e6 * (found or stand.rows.find(case, name, SEARCHED))["median"]


def latency(stand):
    """From when a frame was due to when it came back, at shares of Martinet's highest rate."""
    members = stand.members((Martinet, MacSwap, CDirector))
    for load in LOADS:
        case = f"latency-{load}"
        progress(case)
        pps = _highest(stand, Martinet.name) * load / 100
        # Small batches: a frame waits for the rest of its batch.
        traffic = Traffic(batch=8).at(pps, LATENCY_SECONDS)
        # The machine's own threads take a CPU for a millisecond ten times a second: p99, again.
        with stand.ahead(members):
            trials = stand.rounds_of(members, traffic, LATENCY_TURNS)
        for metric, share in PERCENTILES.items():
            _latency(stand, case, metric, trials, lambda t, s=share: t.arrivals.percentile(s))
        _latency(stand, case, "max", trials, lambda t: t.arrivals.longest_ns)


def _latency(stand, case, metric, trials, value):
    samples = {
        name: [
            median(value(t) / 1000 for t in each[first:first + LATENCY_TURNS])
            for first in range(0, len(each), LATENCY_TURNS)]
        for name, each in trials.items()}
    for name, each in samples.items():
        peer = None if name == TWIN else TWIN
        stand.rows.add(case, name, metric, "us", each, peer, peer and samples.get(peer))


def goals(rows):
    """What was aimed at and whether it was reached."""
    lines = []

    def judge(text, value, is_reached):
        if value is not None:
            verdict = "reached" if is_reached(value) else "NOT REACHED"
            lines.append(f"{verdict}: {text}: {value:.2f}")

    case, metric = "overload-ipv4-1k", "delivered"
    ours, theirs = (rows.find(case, name, metric) for name in (Martinet.name, TestPMD.name))
    judge("0.97 or more of the C control's delivered rate", ours and ours["ratio"],
          lambda v: v >= 0.97)
    judge("1.3 or more of testpmd's", ours and theirs and ours["ratio"] / theirs["ratio"],
          lambda v: v >= 1.3)
    held = rows.find("hold-90", Martinet.name, "lost")
    judge("frames lost in a minute at 90 percent", held and held["median"], lambda v: v == 0)
    for load in LOADS:
        row = rows.find(f"latency-{load}", Martinet.name, "p99")
        judge(f"p99 at {load} percent within 1.1 of the C twin's", row and row["ratio"],
              lambda v: v <= 1.1)
    return "\n".join(lines)


ALL = {"overload": overload, "rate": rate, "hold": hold, "latency": latency,
       "incumbent": incumbent}
