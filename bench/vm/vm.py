# SPDX-License-Identifier: Apache-2.0
"""The vm room: a virtual machine with a real NIC driver. bench/README.md says more."""
import contextlib
import os
import socket
import subprocess
import sys
import tempfile

import room
from room import progress
from rows import Rows

UNITS = {
    "offered": "frames", "forwarded": "frames", "lost, counted": "frames",
    "unaccounted": "frames", "wakeups to send": "calls", "rate": "frames/s",
    "CPU time per frame": "us",
}


BOOTS = 3


class PanicAtBoot(Exception):
    """The guest's kernel did not come as far as its part."""


class Guest:
    """One boot, for one part."""

    def __init__(self, folder, part, seconds, wires, **variables):
        self.part, self.seconds = part, seconds
        words = " ".join(f"{k}={v}" for k, v in {"PART": part, **variables}.items())
        # A stream loses nothing: who cannot send waits. (QEMU's hub drops what it cannot queue.)
        self.wires = [socket.socketpair() for _ in range(wires)]
        nics = []
        for number, end in enumerate(self._ends()):
            # Without iommu_platform=on virtio_net refuses zero copy.
            nics += [
                "-netdev", f"socket,id=n{number},fd={end.fileno()}", "-device",
                f"virtio-net-pci,netdev=n{number},mac=52:54:00:00:00:0{number + 1},"
                "iommu_platform=on,disable-legacy=on,romfile="]
        self.command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m",
            "2G", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", f"{folder}/vmlinuz", "-initrd", f"{folder}/initrd",
            "-append", f"console=ttyS0 panic=-1 quiet mitigations=off net.ifnames=0 {words}", *nics]

    def _ends(self):
        return [end for wire in self.wires for end in wire]

    def run(self):
        """The samples that the guest reported, {(case, subject, metric): [value per round]}.

        On a busy host the emulated CPUs now and then panic while the kernel sets itself up, seen
        where it patches its own code: a guest that does so before /init is booted again.
        """
        for boot in range(BOOTS):
            try:
                return self._run()
            except PanicAtBoot:
                progress(f"  boot {boot + 1} of {BOOTS}: the kernel panicked")
        sys.exit(f"FAIL: {self.part}: the guest does not boot")

    def _run(self):
        samples, failures, is_booted, is_done, said = {}, [], False, False, []
        with contextlib.closing(self._lines()) as lines:
            for line in lines:
                said.append(line)
                kind, _, rest = line.partition(" ")
                if kind == "@sample":
                    case, subject, *metric, value = rest.split(" ")
                    key = (case, subject, " ".join(metric))
                    samples.setdefault(key, []).append(float(value))
                    progress(f"  {rest}")
                elif kind == "@fail":
                    failures.append(rest)
                elif kind == "@booted":
                    is_booted = True
                elif kind == "@done":
                    is_done = True
                elif "Kernel panic" in line and not is_booted:
                    raise PanicAtBoot
        if not is_done:
            failures.append(
                f"the guest has not come to the end of its part; it had {self.seconds} s")
        if failures:
            sys.exit(
                "\n".join(said[-40:]) + "\n"
                + "\n".join(f"FAIL: {self.part}: {failure}" for failure in failures))
        return samples

    def _lines(self):
        """What the guest says, until it ends or its time does."""
        # It does not outlive the room, even if that is killed.
        command = [
            "setpriv", "--pdeathsig", "TERM", "timeout", str(self.seconds), *self.command]
        with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace",
                pass_fds=[end.fileno() for end in self._ends()]) as machine:
            try:
                for line in machine.stdout:
                    yield line.rstrip()
            finally:
                machine.terminate()


def arguments():
    options = room.parser("vm", __doc__, ("kernel",))
    options.add_argument(
        "--part", action="append", choices=("smoke", "conserve", "detach", "two-arms", "incumbent"),
        help="only this; may be repeated")
    options.add_argument(
        "--frames", type=int, default=10_000_000, help="frames that are accounted for; 10000000")
    chosen = room.parsed(options)
    if chosen.frames < 1000:
        options.error("--frames must be 1000 or more")
    return chosen


def parts(chosen):
    """{part: (seconds at most, wires, what it is told)}"""
    known = {
        "smoke": (180, 1, {"FRAMES": 100_000}),
        "conserve": (180 + chosen.frames // 10_000, 1, {"FRAMES": chosen.frames}),
        "detach": (300, 1, {"TURNS": 5}),
        "two-arms": (300, 2, {"FRAMES": 100_000}),
        "incumbent": (180 + 60 * chosen.rounds, 1, {"ROUNDS": chosen.rounds}),
    }
    names = chosen.part or (["smoke"] if chosen.smoke else known)
    return [(name, *known[name]) for name in names]


def add(rows, samples):
    for (case, subject, metric), values in samples.items():
        peer = samples.get((case, "ipvs", metric)) if subject != "ipvs" else None
        rows.add(case, subject, metric, UNITS[metric], values, "ipvs", peer)


def main():
    chosen = arguments()
    rows = Rows("vm", chosen.commit, chosen.command)

    with tempfile.TemporaryDirectory(prefix="martinet-vm-") as folder:
        progress("making the image")
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run([f"{here}/image", folder, chosen.kernel, chosen.martinet], check=True)
        for part, seconds, wires, variables in parts(chosen):
            progress(f"{part}: booting, {seconds} s at most")
            add(rows, Guest(folder, part, seconds, wires, **variables).run())
    guest = os.path.basename(chosen.kernel)
    print(f"{rows.head()}\nIn QEMU's emulated CPUs, Linux {guest}:\n{rows.table()}")
    if chosen.json:
        rows.write(chosen.json)


if __name__ == "__main__":
    room.enter(main)
