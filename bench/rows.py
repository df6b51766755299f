# SPDX-License-Identifier: Apache-2.0
"""Figures as bench's JSON files carry them, and as a table."""
import json
import os
import platform
import re
import sys
from statistics import median


def table(rows):
    lines = [("case", "subject", "metric", "unit", "median", "low", "high", "n", "ratio to")]
    for row in rows:
        if row["metric"].startswith("share"):
            continue
        ratio = f"{row['ratio']:.2f} {row['peer']}" if row["peer"] else "-"
        lines.append((
            row["case"], row["subject"], row["metric"], row["unit"],
            *(f"{row[k]:.3f}" if row[k] < 100 else f"{row[k]:.0f}"
              for k in ("median", "low", "high")), str(row["samples"]), ratio))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if 4 <= i <= 7 else text.ljust(width)
            for i, (text, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines)


def write(rows, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=2, sort_keys=True)
        file.write("\n")


class Rows:
    """Collects rows of one run."""

    def __init__(self, room, commit, command):
        self.room = room
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
        self.origin = {
            "machine": f"{model[1].strip() if model else 'unknown processor'}, "
            f"{len(os.sched_getaffinity(0))} CPUs",
            "kernel": platform.release(), "commit": commit, "command": command,
        }
        self.rows = []

    def add(self, case, subject, metric, unit, samples, peer=None, peer_samples=None):
        """`samples` one per round; the ratio is the median of the ratios within rounds."""
        pairs = [(a, b) for a, b in zip(samples, peer_samples or []) if b]
        row = {
            "room": self.room, "case": case, "subject": subject, "metric": metric, "unit": unit,
            "median": round(median(samples), 3), "low": round(min(samples), 3),
            "high": round(max(samples), 3), "samples": len(samples),
            "peer": peer if pairs else None,
            "ratio": round(median(a / b for a, b in pairs), 3) if pairs else None, **self.origin,
        }
        self.rows.append(row)
        return row

    def find(self, case, subject, metric):
        return next(
            (r for r in self.rows
             if (r["case"], r["subject"], r["metric"]) == (case, subject, metric)), None)

    def head(self):
        return "{machine}, Linux {kernel}, commit {commit}: {command}".format(**self.origin)

    def table(self):
        return table(self.rows)

    def ledgers(self):
        """A line per case and subject: what became of 100 percent of the frames sent."""
        lines = {}
        for row in self.rows:
            if row["metric"].startswith("share"):
                name = row["metric"].removeprefix("share ")
                lines.setdefault((row["case"], row["subject"]), []).append(
                    f"{name} {row['median']:.2f}")
        return "\n".join(
            f"{case:24}{subject:12}{', '.join(parts)}" for (case, subject), parts in lines.items())

    def write(self, path):
        write(self.rows, path)


def collect(target, paths):
    """The rows of several files in one table, and in the file `target` if it has a name."""
    rows = []
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                rows += json.load(file)
    print(table([{**row, "case": f"{row['room']} {row['case']}"} for row in rows]))
    if target:
        write(rows, target)


if __name__ == "__main__":
    collect(sys.argv[1], sys.argv[2:])
