# SPDX-License-Identifier: Apache-2.0
"""The subjects side by side, each in its lane, all at rest but the one whose turn it is."""
import contextlib
import os
import sys
from dataclasses import replace
from glob import glob

import subjects
from deadline import within
from lane import Lane
from room import progress
from station import Station, Traffic
from trial import attempt

# A trial from which the hypervisor took more than this of the CPUs is taken again.
STOLEN_LIMIT = 0.02
TAKES = 3
# How long a subject may take to start (a guest boots in 5 s, beside builds in 30), and a trial
# beyond its traffic.
START_SECONDS, TRIAL_SECONDS = 90, 20
# Traffic before the first trial: memory that was never touched is slower.
WARM_SECONDS = 0.25
# Enough to see that all works, little enough for a machine that does other things.
SMOKE_RATE, SMOKE_SECONDS, SMOKE_SETTLE_MS = 20_000, 0.25, 2000


class Stand:
    """Opens lanes as they are asked for; `stack` closes them."""

    def __init__(self, chosen, rows, stack):
        self.chosen, self.rows, self.stack = chosen, rows, stack
        self.smoke = chosen.smoke
        self.rounds = 1 if chosen.smoke else chosen.rounds
        self.notes = []
        self.trials = 0
        self._lanes = {}
        subjects.Martinet.program = chosen.martinet

    def members(self, classes, queues=1):
        """(subject, station) for each class that can run here; says why the others cannot."""
        members = []
        for kind in classes:
            key = (kind.name, queues)
            if key not in self._lanes:
                self._lanes[key] = self._open(kind, queues)
            if self._lanes[key]:
                members.append(self._lanes[key])
        return members

    @contextlib.contextmanager
    def anew(self):
        """Lanes of its own for what runs meanwhile, closed at its end."""
        others = self.stack, self._lanes
        try:
            with contextlib.ExitStack() as self.stack:
                self._lanes = {}
                yield
        finally:
            self.stack, self._lanes = others

    def _open(self, kind, queues):
        lane = Lane(kind.name if queues == 1 else f"{kind.name}-{queues}", queues)
        self.stack.callback(lane.close)
        # The station and its interface's softirqs have CPU 0; one subject's worker CPU 1.
        subject = kind(lane, self.chosen.build, "1" if queues == 1 else "0,1")
        self.stack.callback(subject.stop)
        try:
            with self._step(subject, "starting", START_SECONDS):
                subject.start()
                station = Station(lane.far, self.chosen.build)
                station.send(Traffic(seconds=WARM_SECONDS), subject.mac)
        except subjects.Missing as reason:
            if not kind.is_optional:
                sys.exit(f"FAIL: {kind.name}: {reason}")
            self.note(f"MISSING: {kind.name}: {reason}")
            return None
        self.stack.callback(station.close)
        subject.pause()
        return subject, station

    def note(self, line):
        """Said now and at the end, once."""
        if line not in self.notes:
            self.notes.append(line)
            progress(line)

    @contextlib.contextmanager
    def _step(self, subject, what, seconds):
        """Ends with the subject's last words if it takes longer, or fails."""
        try:
            with within(seconds, f"{subject.name}: {what}"):
                yield
        except SystemExit:
            progress(subject.said())
            raise

    def trial(self, member, traffic):
        """Fails unless every frame is accounted for."""
        subject, station = member
        if self.smoke:
            traffic = replace(
                traffic, rate=min(traffic.rate or SMOKE_RATE, SMOKE_RATE), seconds=SMOKE_SECONDS,
                settle_ms=SMOKE_SETTLE_MS)
        for _ in range(TAKES):
            with self._step(subject, "a trial", traffic.seconds + TRIAL_SECONDS):
                trial = attempt(subject, station, traffic)
            self.trials += 1
            if not trial.arrivals.sent:
                progress(f"  {subject.name}: taken again, the station had no CPU to send anything")
                continue
            if trial.unaccounted:
                sys.exit(
                    f"FAIL: {subject.name}: {trial.unaccounted} of {trial.arrivals.sent} frames "
                    f"are unaccounted for: {trial.ledger}")
            if not trial.arrivals.delivered:
                sys.exit(f"FAIL: {subject.name}: nothing came back: {trial.ledger}")
            if not trial.lost and not trial.arrivals.is_whole:
                sys.exit(f"FAIL: {subject.name}: the frames delivered are not those sent")
            if trial.stolen <= STOLEN_LIMIT or self.smoke:
                return trial
            progress(f"  {subject.name}: taken again, {trial.stolen:.1%} stolen")
        if not trial.arrivals.sent:
            sys.exit(f"FAIL: {subject.name}: the station sent nothing in {TAKES} trials")
        return trial

    @contextlib.contextmanager
    def ahead(self, members):
        """Subjects and stations go before all else on their CPUs meanwhile, as softirqs would."""
        try:
            _schedule(members, os.SCHED_FIFO, 1)
        except PermissionError as reason:
            self.note(f"MISSING: a real-time priority, so others take the CPUs too: {reason}")
        try:
            yield
        finally:
            _schedule(members, os.SCHED_OTHER, 0)

    def rounds_of(self, members, traffic, turns=1):
        """Trials per subject, the subjects taking turns, so many in each round: A B C A B C."""
        trials = {subject.name: [] for subject, _ in members}
        for _ in range(1 if self.smoke else self.rounds * turns):
            for member in members:
                trials[member[0].name].append(self.trial(member, traffic))
        return trials


def _schedule(members, policy, priority):
    """Sets it for all threads of subjects and stations."""
    pids = [end.process.pid for member in members for end in member]
    for thread in (path for pid in pids for path in glob(f"/proc/{pid}/task/*")):
        # A control plane's thread may have ended.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(int(os.path.basename(thread)), policy, os.sched_param(priority))
