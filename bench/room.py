# SPDX-License-Identifier: Apache-2.0
"""What the rooms in Python share: options, words on the way, being alone, and an orderly end."""
import argparse
import contextlib
import fcntl
import os
import signal
import sys
import time

from deadline import within

LOCK_SECONDS, END_SECONDS = 300, 90


def parser(name, description, hidden):
    """The options of every room; `hidden` are those that bench/run fills in."""
    options = argparse.ArgumentParser(prog=f"bench/run {name}", description=description)
    options.add_argument("--smoke", action="store_true", help="shows that it works, no figures")
    options.add_argument("--json", help="write the rows to this file")
    options.add_argument("--rounds", type=int, default=7, help="rounds of each case; 7")
    for option in ("martinet", "commit", "command", *hidden):
        options.add_argument(f"--{option}", required=True, help=argparse.SUPPRESS)
    return options


def parsed(options):
    chosen = options.parse_args()
    if chosen.rounds < 1:
        options.error("--rounds must be 1 or more")
    return chosen


def progress(line):
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(name, remove_leftovers):
    """No other run of the room is under way, and what a killed one has left is gone.

    Yields a stack that is closed however the room ends.
    """
    path = f"/run/lock/martinet-{name}"
    stack = contextlib.ExitStack()
    with open(path, "w", encoding="ascii") as lock:
        with within(LOCK_SECONDS, f"waiting for another bench/run {name} to end ({path})"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        with within(END_SECONDS, "removing what a killed run has left"):
            remove_leftovers()
        try:
            yield stack
        finally:
            with within(END_SECONDS, "taking down what was set up"):
                stack.close()


def enter(main):
    """Runs the room; a signal ends it as an error would: what was set up is taken down, once."""

    def end(number, _):
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    # Swift's runtime gives threads nice 0 whatever the process has; so all subjects have it.
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    main()
