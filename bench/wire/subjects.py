# SPDX-License-Identifier: Apache-2.0
"""What stands at the director's end of a lane: Martinet and its peers."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import testpmd
from lane import DIRECTOR_MAC, PORT, REAL_SERVERS, VIP4, VIP6
from spaces import inside, run_in

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers")


class Missing(Exception):
    """Why a subject cannot run here, and how to get it."""


class Subject:
    """One way of getting frames from lan0 to the real servers; a process where it needs one."""

    name = ""
    # Where requests are addressed to.
    mac = DIRECTOR_MAC
    # Its way leads through the kernel's stack, so that what goes there is not lost.
    is_in_kernel = False
    # A machine may lack what it needs; anything of our own must start.
    is_optional = False
    process = None
    last_signal = signal.SIGTERM

    def __init__(self, lane, build, cpus="1"):
        self.lane, self.build, self.cpus = lane, build, cpus
        self.log = open(f"{build}/{lane.director}.log", "w+", encoding="utf-8")

    def start(self):
        """Forwards when it returns."""
        raise NotImplementedError

    def counters(self):
        """Packets that it counts as lost, by reason; None if it does not tell."""
        return None

    def _spawn(self, *command, **options):
        self.process = subprocess.Popen(
            inside(self.lane.director, self.cpus, *command), stderr=self.log, **options)

    def said(self):
        """The last of its process's words."""
        self.log.seek(0)
        return self.log.read().strip()[-600:]

    def _wait_for(self, condition):
        while not condition():
            if self.process.poll() is not None:
                raise Missing(f"it does not start: {self.said()}")
            time.sleep(0.05)

    def pause(self):
        if self.process:
            self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process:
            self.go_on()
            self.process.send_signal(self.last_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.log.close()


class Martinet(Subject):
    """The binary as shipped, `martinet run`."""

    name = "martinet"
    program = ""
    arguments = ()

    def start(self):
        self.control = f"{self.build}/{self.lane.director}.sock"
        self._spawn(
            self.program, "run", "--interface", "lan0", "--copy", "--control", self.control,
            *self.arguments, stdout=self.log)
        self._wait_for(lambda: self.ipvsadm("-Ln", check=False).returncode == 0)
        self.serve()
        self._wait_for(lambda: "unresolved" not in self.ipvsadm("-Ln").stdout)

    def serve(self):
        """Adds the services and their real servers."""
        for vip, network in ((f"{VIP4}:{PORT}", "192.168.2."), (f"[{VIP6}]:{PORT}", "fd00:2::")):
            self.ipvsadm("-A", "-u", vip, "-s", "rr")
            for number in REAL_SERVERS:
                self.ipvsadm("-a", "-u", vip, "-r", f"{network}{number}", "-g")

    def ipvsadm(self, *arguments, check=True):
        return subprocess.run(
            [self.program, "ipvsadm", *arguments], check=check, capture_output=True, text=True,
            env={**os.environ, "MARTINET_CONTROL": self.control})

    def queues(self):
        """The document /v1/queues."""
        connection = http.client.HTTPConnection("director", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.control)
        connection.request("GET", "/v1/queues")
        document = json.loads(connection.getresponse().read())
        connection.close()
        return document

    def counters(self):
        lost = {}
        for queue in self.queues():
            for reason, count in queue["drops"].items():
                lost[reason] = lost.get(reason, 0) + count
        return lost


class SocketPeer(Subject):
    """A C program of peers/ that takes turns on AF_XDP sockets."""

    def start(self):
        self._spawn(
            f"{self.build}/{self.program}", "lan0", f"{self.build}/redirect.bpf.o",
            str(self.lane.queues), stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Missing(f"it has ended: {self.said()}")
        return json.loads(line)

    def counters(self):
        self.process.send_signal(signal.SIGUSR1)
        return {"in the peer": self._answer()["dropped"]}


class MacSwap(SocketPeer):
    """The control: the same I/O in C, no load balancing."""

    name = "c-macswap"
    program = "macswap"


class CDirector(SocketPeer):
    """The C twin of the whole director."""

    name = "c-director"
    program = "director"


class TestPMD(Subject):
    """DPDK's own forwarder over the same AF_XDP sockets."""

    name = "testpmd"
    is_optional = True

    def start(self):
        if testpmd.MISSING:
            raise Missing(testpmd.MISSING)
        # The first of the two is its main thread, which sleeps.
        self._spawn(
            "stdbuf", "-oL", "dpdk-testpmd", "-l", f"0,{self.cpus}", "--no-pci", "--no-huge",
            "-m", "512", "--file-prefix", self.lane.director, "--vdev",
            "net_af_xdp0,iface=lan0,force_copy=1,busy_budget=0", "--", "--forward-mode=macswap",
            "--total-num-mbufs=16384", "--nb-cores=1", "--burst=64", "--rxd=2048",
            "--txd=2048", "--auto-start", stdout=self.log, stdin=subprocess.PIPE)
        self._wait_for(self._forwards)

    def _forwards(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as said:
            return "Press enter to exit" in said.read()


class XDPTransmit(Subject):
    """Direct routing in an eBPF program."""

    name = "xdp-tx"

    def start(self):
        self.lane.ip(
            "link", "set", "lan0", "xdpdrv", "obj", f"{self.build}/xdptx.bpf.o", "sec", "xdp")

    def counters(self):
        return {}


class KernelSubject(Subject):
    """No XDP program on lan0: NAPI, which live frames need, comes by GRO."""

    is_in_kernel = True

    def start(self):
        run_in(self.lane.director, "ethtool", "-K", "lan0", "gro", "on")
        self.set_up()

    def set_up(self):
        raise NotImplementedError


class Nftables(KernelSubject):
    """netdev ingress, jhash, fwd."""

    name = "nft-fwd"
    is_optional = True

    def set_up(self):
        if not shutil.which("nft"):
            raise Missing("no nft: apt-get install nftables")
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.lane.director}", "nft", "-f",
             f"{PEERS}/nft/forward.nft"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"the kernel's nftables refuses it: {done.stderr.strip()}")


class Bridge(KernelSubject):
    """The floor: a port that sends back what it gets, by destination."""

    name = "bridge"
    mac = REAL_SERVERS[152]

    def set_up(self):
        self.lane.ip("link", "add", "bridge", "type", "bridge", "stp_state", "0")
        self.lane.ip("link", "set", "lan0", "master", "bridge")
        self.lane.ip("link", "set", "bridge", "up")
        run_in(
            self.lane.director, "bridge", "link", "set", "dev", "lan0", "hairpin", "on",
            "learning", "off", "flood", "off")
        run_in(
            self.lane.director, "bridge", "fdb", "replace", self.mac, "dev", "lan0", "master",
            "static")


ALL = (Martinet, MacSwap, CDirector, TestPMD, XDPTransmit, Nftables, Bridge)
