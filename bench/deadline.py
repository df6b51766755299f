# SPDX-License-Identifier: Apache-2.0
"""Time limits: whatever takes longer ends with words that say what it was."""
import contextlib
import signal
import time

# Those under way: (when, seconds, what). The alarm is set for the first.
_limits = []


def _arm():
    rest = max(0.001, min(_limits)[0] - time.monotonic()) if _limits else 0
    signal.setitimer(signal.ITIMER_REAL, rest)


def _expire(*_):
    limit = min(_limits, default=None)
    if limit and limit[0] <= time.monotonic():
        _limits.remove(limit)
        raise SystemExit(f"FAIL: {limit[2]}: not done within {limit[1]} s")
    _arm()


@contextlib.contextmanager
def within(seconds, what):
    """The main thread's: interrupts it wherever it waits. Limits may lie within one another."""
    signal.signal(signal.SIGALRM, _expire)
    limit = (time.monotonic() + seconds, seconds, what)
    _limits.append(limit)
    _arm()
    try:
        yield
    finally:
        if limit in _limits:
            _limits.remove(limit)
        _arm()
