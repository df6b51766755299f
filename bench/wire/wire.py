# SPDX-License-Identifier: Apache-2.0
"""The wire room: Martinet and its peers, each on a veth of its own. bench/README.md says more."""
import contextlib

import lane
import parts
import room
import spaces
from deadline import within
from rows import Rows
from stand import Stand

SMOKE_SECONDS = 180


def arguments():
    options = room.parser("wire", __doc__, ("build",))
    options.add_argument(
        "--part", action="append", choices=list(parts.ALL), help="only this; may be repeated")
    return room.parsed(options)


def measure(chosen, stand):
    limit = within(SMOKE_SECONDS, "the smoke as a whole") if chosen.smoke else None
    with limit or contextlib.nullcontext():
        for name in chosen.part or parts.ALL:
            parts.ALL[name](stand)


def main():
    chosen = arguments()
    rows = Rows("wire", chosen.commit, chosen.command)
    with room.alone("wire", lambda: spaces.remove_all(lane.PREFIX)) as stack:
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


if __name__ == "__main__":
    room.enter(main)
