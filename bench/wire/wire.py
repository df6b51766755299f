# SPDX-License-Identifier: Apache-2.0
"""The wire room: Martinet and its peers, each on a veth of its own. bench/README.md says more."""
import argparse
import contextlib
import fcntl
import signal
import sys

import lane
import parts
from deadline import within
from rows import Rows
from stand import Stand

LOCK = "/run/lock/martinet-wire"
LOCK_SECONDS, SMOKE_SECONDS, END_SECONDS = 300, 180, 90


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run wire", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="shows that it works, no figures")
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each case; 7")
    parser.add_argument(
        "--part", action="append", choices=list(parts.ALL), help="only this; may be repeated")
    for name in ("build", "martinet", "commit", "command"):
        parser.add_argument(f"--{name}", required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return chosen


@contextlib.contextmanager
def torn_down():
    """A stack that is closed however the room ends."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        with within(END_SECONDS, "taking the lanes down"):
            stack.close()


def measure(chosen, stand):
    limit = within(SMOKE_SECONDS, "the smoke as a whole") if chosen.smoke else None
    with limit or contextlib.nullcontext():
        for name in chosen.part or parts.ALL:
            parts.ALL[name](stand)


def main():
    chosen = arguments()
    rows = Rows("wire", chosen.commit, chosen.command)
    with open(LOCK, "w", encoding="ascii") as lock, torn_down() as stack:
        with within(LOCK_SECONDS, f"waiting for another bench/run wire to end ({LOCK})"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        with within(END_SECONDS, "removing what a killed run has left"):
            lane.remove_leftovers()
        stand = Stand(chosen, rows, stack)
        measure(chosen, stand)
    print(rows.head())
    if chosen.smoke:
        print(f"{stand.trials} trials; every frame is accounted for in each")
    else:
        print(f"{rows.table()}\n\nOf 100 frames sent:\n{rows.ledgers()}\n\n{parts.goals(rows)}")
    for line in stand.notes:
        print(line)
    if chosen.json:
        rows.write(chosen.json)


def end(number, _):
    """What was set up is taken down, once."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    main()
