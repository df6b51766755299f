# SPDX-License-Identifier: Apache-2.0
"""The incumbent: a Linux that has IPVS, run as a process (user-mode Linux), behind a tap.

It runs natively on one CPU, without locks, and reaches the wire by read and write on a tap, so its
own rate says little. What IPVS costs there shows beside the same guest that only routes.
"""
import os
import shutil
import signal
import subprocess

from lane import DIRECTOR_MAC, REAL_SERVERS
from spaces import run_in
from subjects import PEERS, KernelSubject, Missing

LAN_MAC = "02:00:00:00:02:d2"


class Guest(KernelSubject):
    """Frames for the director cross a bridge to the guest's tap, its own go to the wire."""

    way = ""
    is_optional = True
    # It has nothing to save, and does not always hear of another one.
    last_signal = signal.SIGKILL

    def set_up(self):
        if not shutil.which("linux.uml") or not shutil.which("ipvsadm"):
            raise Missing("no linux.uml or ipvsadm: apt-get install user-mode-linux ipvsadm kmod")
        self._bridge()
        folder = f"{self.build}/{self.lane.director}"
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        self._spawn(
            "linux.uml", "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
            f"init={os.path.realpath(PEERS)}/ipvs/init", f"WAY={self.way}", f"FOLDER={folder}",
            f"BENCH={os.getpid()}", f"uml_dir={folder}/", "con=null", "con0=null,fd:1", "quiet",
            "vec0:transport=tap,ifname=tap0,depth=128,gro=0", stdout=self.log,
            stdin=subprocess.DEVNULL)
        self._wait_for(lambda: os.path.exists(f"{folder}/status"))
        with open(f"{folder}/status", encoding="ascii") as status:
            if status.read().strip() != "0":
                with open(f"{folder}/said", encoding="utf-8") as said:
                    raise Missing(f"the guest cannot be set up: {said.read().strip()}")

    def _bridge(self):
        self.lane.ip("tuntap", "add", "dev", "tap0", "mode", "tap")
        self.lane.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0")
        self.lane.ip("link", "set", "lan0", "address", LAN_MAC)
        for port in ("lan0", "tap0"):
            self.lane.ip("link", "set", port, "master", "bridge", "up")
            run_in(
                self.lane.director, "bridge", "link", "set", "dev", port, "learning", "off",
                "flood", "off", "mcast_flood", "off")
        self.lane.ip("link", "set", "bridge", "up")
        for mac, port in ((DIRECTOR_MAC, "tap0"), *((m, "lan0") for m in REAL_SERVERS.values())):
            run_in(
                self.lane.director, "bridge", "fdb", "replace", mac, "dev", port, "master",
                "static")


class KernelIPVS(Guest):
    """IPVS in DR mode, rr."""

    name = "ipvs-uml"
    way = "ipvs"


class KernelRouter(Guest):
    """The same guest routing to one real server."""

    name = "route-uml"
    way = "route"
