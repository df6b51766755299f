# SPDX-License-Identifier: Apache-2.0
"""The vm room: a virtual machine with a real NIC driver. bench/README.md says more."""
import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from rows import Rows

UNITS = {
    "offered": "frames", "forwarded": "frames", "lost, counted": "frames",
    "unaccounted": "frames", "wakeups to send": "calls", "rate": "frames/s",
    "CPU time per frame": "us",
}


class Guest:
    """One boot, for one part."""

    def __init__(self, folder, part, seconds, **variables):
        self.part, self.seconds = part, seconds
        words = " ".join(f"{k}={v}" for k, v in {"PART": part, **variables}.items())
        # A stream loses nothing: who cannot send waits. (QEMU's hub drops what it cannot queue.)
        self.wire = socket.socketpair()
        nics = []
        for number, end in enumerate(self.wire):
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

    def run(self, progress):
        """The samples that the guest reported, {(case, subject, metric): [value per round]}."""
        samples, failures, is_done, said = {}, [], False, []
        for line in self._lines():
            said.append(line)
            kind, _, rest = line.partition(" ")
            if kind == "@sample":
                case, subject, *metric, value = rest.split(" ")
                samples.setdefault((case, subject, " ".join(metric)), []).append(float(value))
                progress(f"  {rest}")
            elif kind == "@fail":
                failures.append(rest)
            elif kind == "@done":
                is_done = True
        if not is_done:
            failures.append(
                f"the guest did not come to the end of its part in {self.seconds} s")
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
                pass_fds=[end.fileno() for end in self.wire]) as machine:
            try:
                for line in machine.stdout:
                    yield line.rstrip()
            finally:
                machine.terminate()


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run vm", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="no more than shows that it works")
    parser.add_argument(
        "--part", action="append", choices=("smoke", "conserve", "detach", "incumbent"),
        help="only this; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="rounds beside IPVS; 7")
    parser.add_argument(
        "--frames", type=int, default=10_000_000, help="frames that are accounted for; 10000000")
    parser.add_argument("--json", help="write the rows to this file")
    for name in ("kernel", "martinet", "commit", "command"):
        parser.add_argument(f"--{name}", required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.frames < 1000:
        parser.error("--rounds must be 1 or more, --frames 1000 or more")
    return chosen


def parts(chosen):
    """{part: (seconds at most, what it is told)}"""
    known = {
        "smoke": (180, {"FRAMES": 100_000}),
        "conserve": (180 + chosen.frames // 10_000, {"FRAMES": chosen.frames}),
        "detach": (300, {"TURNS": 5}),
        "incumbent": (180 + 60 * chosen.rounds, {"ROUNDS": chosen.rounds}),
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

    def progress(line):
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="martinet-vm-") as folder:
        progress("making the image")
        room = os.path.dirname(os.path.abspath(__file__))
        subprocess.run([f"{room}/image", folder, chosen.kernel, chosen.martinet], check=True)
        for part, seconds, variables in parts(chosen):
            progress(f"{part}: booting, {seconds} s at most")
            add(rows, Guest(folder, part, seconds, **variables).run(progress))
    guest = os.path.basename(chosen.kernel)
    print(f"{rows.head()}\nIn QEMU's emulated CPUs, Linux {guest}:\n{rows.table()}")
    if chosen.json:
        rows.write(chosen.json)


def end(number, _):
    """The guest is ended and its files are removed, once."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    main()
