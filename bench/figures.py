# SPDX-License-Identifier: Apache-2.0
"""Figures of a bench file's rooms: python3 figures.py FILE.json FOLDER."""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "martinet"
import matplotlib.pyplot as plt

COLOURS = {
    "martinet": "#d1495b", "c-twin": "#30638e", "c-limit": "#b8bec4",
    "c-director": "#30638e", "c-macswap": "#7ea8be", "testpmd": "#edae49", "xdp-tx": "#66a182",
    "nft-fwd": "#8d6a9f", "bridge": "#aaaaaa",
}
LINE_RATE_NS = 26.9  # 25 GbE, 64-octet frames, one core


def by_subject(rows, cases, metric="time per packet"):
    """{subject: [row or None per case]}, subjects in the order in which they come."""
    chosen = [r for r in rows if r["metric"] == metric and r["case"] in cases]
    subjects = list(dict.fromkeys(r["subject"] for r in chosen))
    table = {(r["subject"], r["case"]): r for r in chosen}
    return {s: [table.get((s, c)) for c in cases] for s in subjects}


def bars(axes, rows, cases, labels, metric="time per packet"):
    """One group of bars per case, whiskers from the lowest to the highest round."""
    series = by_subject(rows, cases, metric)
    width = 0.8 / max(1, len(series))
    for number, (subject, found) in enumerate(series.items()):
        places = [i + (number - (len(series) - 1) / 2) * width for i, r in enumerate(found) if r]
        present = [r for r in found if r]
        spread = [
            [r["median"] - r["low"] for r in present],
            [r["high"] - r["median"] for r in present],
        ]
        axes.bar(
            places, [r["median"] for r in present], width * 0.92, yerr=spread, capsize=2,
            label=subject, color=COLOURS.get(subject), error_kw={"linewidth": 0.8})
        for place, row in zip(places, present):
            text = f"{row['median']:.0f}" if row["median"] >= 100 else f"{row['median']:.1f}"
            axes.annotate(
                text, (place, row["high"]), (0, 2), textcoords="offset points", ha="center",
                fontsize=7)
    axes.set_xticks(range(len(cases)), labels)
    axes.margins(y=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure, rows, folder, name):
    origin = rows[0]
    figure.text(
        0.01, 0.005, f"{origin['machine']}, Linux {origin['kernel']}, commit {origin['commit']}: "
        f"{origin['command']}", fontsize=6, color="#666666")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=len(labels), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.03, 1, 0.95))
    for ending, metadata in (("svg", {"Date": None}), ("png", {})):
        path = os.path.join(folder, f"{name}.{ending}")
        figure.savefig(path, dpi=150, metadata=metadata)
        print(path)
    plt.close(figure)


def hits(rows, folder):
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    sizes = ["1k", "100k", "1m", "8m"]
    for axes, family, title in zip(panels, ("ipv4", "ipv6"), ("IPv4", "IPv6")):
        bars(axes, rows, [f"hits-{family}-{s}" for s in sizes], ["1 k", "100 k", "1 M", "8 M"])
        axes.axhline(LINE_RATE_NS, color="#888888", linewidth=0.8, linestyle="--")
        axes.set_title(f"{title}: established connections", fontsize=10)
        axes.set_xlabel("connections")
    panels[1].annotate(
        "25 GbE line rate,\n64 octets, one core", (1, LINE_RATE_NS), (2, 0),
        xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=7,
        color="#555555")
    panels[0].set_ylabel("ns per packet")
    save(figure, rows, folder, "loop-hits")


def attacks(rows, folder):
    figure, axes = plt.subplots(figsize=(9, 3.6))
    cases = ["new-ipv4", "new-ipv6", "flood-ipv4", "flood-ipv6", "stray-1m", "garbage"]
    bars(
        axes, rows, cases,
        ["new\nIPv4", "new\nIPv6", "SYN flood,\nfull table, IPv4", "SYN flood,\nfull table, IPv6",
         "stray ACKs", "garbage"])
    axes.set_ylabel("ns per packet")
    axes.set_title("New connections and hostile packets", fontsize=10)
    save(figure, rows, folder, "loop-new-and-hostile")


def sizes(rows, folder):
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6))
    groups = [
        ("packets per turn, 1 M connections", ["batch-1-1m", "batch-16-1m", "hits-ipv4-1m"],
         ["1", "16", "64"]),
        ("services, 100 k connections",
         ["services-1", "hits-ipv4-100k", "services-256", "services-4096", "services-16000"],
         ["1", "16", "256", "4096", "16000"]),
        ("real servers, 100 k connections",
         [f"real-servers-{n}" for n in (2, 100, 1000, 10000)], ["2", "100", "1000", "10000"]),
    ]
    for axes, (title, cases, labels) in zip(panels, groups):
        bars(axes, rows, cases, labels)
        axes.set_title(title, fontsize=10)
    panels[0].set_ylabel("ns per packet")
    save(figure, rows, folder, "loop-sizes")


def instructions(rows, folder):
    metric = "instructions per packet"
    cases = list(dict.fromkeys(r["case"] for r in rows if r["metric"] == metric))
    figure, axes = plt.subplots(figsize=(9, 3.6))
    bars(axes, rows, cases, [c.replace("-", "\n", 1) for c in cases], metric)
    axes.set_ylabel("instructions per packet")
    axes.set_title("Instructions (callgrind)", fontsize=10)
    save(figure, rows, folder, "loop-instructions")


def delivered(rows, folder):
    cases = list(dict.fromkeys(r["case"] for r in rows if r["case"].startswith("overload-")))
    if not cases:
        return
    figure, axes = plt.subplots(figsize=(13, 4))
    labels = [c.removeprefix("overload-").replace("-", "\n", 1) for c in cases]
    bars(axes, rows, cases, labels, "delivered")
    axes.set_ylabel("Mpps delivered")
    axes.set_title("veth, copy mode: as much as goes", fontsize=10)
    save(figure, rows, folder, "wire-delivered")


def latencies(rows, folder):
    cases = list(dict.fromkeys(r["case"] for r in rows if r["case"].startswith("latency-")))
    if not cases:
        return
    figure, panels = plt.subplots(1, len(cases), figsize=(13, 4), squeeze=False)
    metrics = ["p50", "p90", "p99", "p99.9", "max"]
    for axes, case in zip(panels[0], cases):
        # A group of bars per percentile.
        turned = [{**r, "case": r["metric"], "metric": "t"} for r in rows if r["case"] == case]
        bars(axes, turned, metrics, metrics, "t")
        axes.set_yscale("log")
        axes.set_title(f"at {case.removeprefix('latency-')} % of the highest rate", fontsize=10)
    panels[0][0].set_ylabel("µs from when a frame was due")
    save(figure, rows, folder, "wire-latency")


FIGURES = {"loop": (hits, attacks, sizes, instructions), "wire": (delivered, latencies)}


def main():
    path, folder = sys.argv[1:]
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
        rooms = {room: [r for r in rows if r["room"] == room] for room in FIGURES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"FAIL: {path} is no bench file: {error}; bench/run ROOM --json writes one.")
    if not any(rooms.values()):
        sys.exit(f"FAIL: {path} has no rows of {' or '.join(FIGURES)}; bench/run writes them.")
    os.makedirs(folder, exist_ok=True)
    for room, drawings in FIGURES.items():
        for draw in drawings if rooms[room] else ():
            draw(rooms[room], folder)


main()
