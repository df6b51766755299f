# SPDX-License-Identifier: Apache-2.0
"""The vm room: a virtual machine with a real NIC driver. bench/README.md says more."""
import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time

from rows import Rows

UNITS = {"forwarded": "frames"}
# Part, seconds at most, and what it is told.
PARTS = [("smoke", 180, {"FRAMES": 100_000})]


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
        command = ["timeout", str(self.seconds), *self.command]
        with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace",
                pass_fds=[end.fileno() for end in self.wire]) as machine:
            for line in machine.stdout:
                line = line.rstrip()
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


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run vm", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="no more than shows that it works")
    parser.add_argument("--json", help="write the rows to this file")
    for name in ("kernel", "martinet", "commit", "command"):
        parser.add_argument(f"--{name}", required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


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
        for part, seconds, variables in PARTS:
            progress(f"{part}: booting, {seconds} s at most")
            add(rows, Guest(folder, part, seconds, **variables).run(progress))
    guest = os.path.basename(chosen.kernel)
    print(f"{rows.head()}\nIn QEMU's emulated CPUs, Linux {guest}:\n{rows.table()}")
    if chosen.json:
        rows.write(chosen.json)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
