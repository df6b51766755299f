# SPDX-License-Identifier: Apache-2.0
"""The tcp room: real servers and clients. bench/README.md says more."""
import contextlib
import sys

import lan
import room
import spaces
import transfers
from deadline import within
from loads import start_servers
from rows import Rows
from ways import Site

START_SECONDS, SMOKE_SECONDS = 90, 120
PARTS = ("alone", "flood")


def arguments():
    options = room.parser("tcp", __doc__, ("build",))
    options.add_argument(
        "--part", action="append", choices=PARTS, help="only this; may be repeated")
    return room.parsed(options)


def main():
    chosen = arguments()
    rows = Rows("tcp", chosen.commit, chosen.command)
    with room.alone("tcp", lambda: spaces.remove_all(lan.PREFIX)) as stack:
        with within(START_SECONDS, "starting directors and servers"):
            site = Site(stack, chosen.build, chosen.martinet)
            start_servers(stack, site)
        each = transfers.Transfers(chosen, site, rows)
        limit = within(SMOKE_SECONDS, "the smoke as a whole") if chosen.smoke else None
        with limit or contextlib.nullcontext():
            for part in chosen.part or PARTS:
                getattr(each, part)()
    print(rows.head())
    print(f"{len(rows.rows)} figures" if chosen.smoke
          else f"{rows.table()}\n\n{transfers.reasons(rows)}")
    for line in each.notes:
        print(line)
    if chosen.json:
        rows.write(chosen.json)
    if each.broken:
        sys.exit(f"FAIL: {each.broken} connections failed; their words are above")


if __name__ == "__main__":
    room.enter(main)
