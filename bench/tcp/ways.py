# SPDX-License-Identifier: Apache-2.0
"""The ways from a client to the server: straight, and through each director."""
from dataclasses import dataclass

from lan import NETWORK, Host, Lan
from lane import DIRECTOR_MAC, REAL_SERVERS
from loads import FLOOD_PORT, HTTP_PORT, IPERF_PORT
from spaces import run_in
from subjects import CDirector, Martinet, Subject

SERVER, FLOODER = REAL_SERVERS
# Last octets of the VIPs; the C director's is LAB_VIP4 in wire/lab.h.
ROUTE_VIP, MARTINET_VIP, TWIN_VIP = 147, 148, 149


@dataclass(frozen=True)
class Way:
    """`director` is None where there is none."""

    name: str
    address: str
    client: Host
    director: Subject | None = None


class Director(Martinet):
    """Martinet, `martinet run`, for the services of this room."""

    def serve(self):
        vip = f"{NETWORK}{MARTINET_VIP}"
        for kind, port, number in (
                ("-t", HTTP_PORT, SERVER), ("-t", IPERF_PORT, SERVER), ("-u", IPERF_PORT, SERVER),
                ("-t", FLOOD_PORT, FLOODER)):
            self.ipvsadm("-A", kind, f"{vip}:{port}", "-s", "rr")
            self.ipvsadm(
                "-a", kind, f"{vip}:{port}", "-r", f"{NETWORK}{number}", "-g")


class Router(Subject):
    """The kernel, which only routes: the hop without choosing."""

    name = "route"

    def start(self):
        run_in(self.lane.space, "sysctl", "-qw", "net.ipv4.ip_forward=1",
               "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.lan0.send_redirects=0")
        self.lane.ip(
            "route", "add", f"{NETWORK}{ROUTE_VIP}/32", "via", f"{NETWORK}{SERVER}", "dev", "lan0")


class Site:
    """The hosts: two clients, the server, the directors, the flooder and the sink."""

    def __init__(self, stack, build, martinet):
        self.stack, self.build = stack, build
        Martinet.program = martinet
        self.lan = Lan(stack)
        # With an XDP program on the other end it has no NAPI otherwise, which live frames need.
        self.flooder = self.lan.add("flooder", FLOODER, REAL_SERVERS[FLOODER], "far0")
        run_in(self.lan.space, "ethtool", "-K", "flooder", "gro", "on")
        self.sink = self.lan.add("sink", 153, "02:00:00:00:01:99")
        self.sink.ip("link", "set", "lan0", "xdpdrv", "obj", f"{build}/sink.bpf.o", "sec", "xdp")
        self.server = self.lan.add("server", SERVER, REAL_SERVERS[SERVER])
        run_in(self.server.space, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1",
               "net.ipv4.conf.all.arp_announce=2")
        for vip in (ROUTE_VIP, MARTINET_VIP, TWIN_VIP):
            self.server.ip("address", "add", f"{NETWORK}{vip}/32", "dev", "lo")
        self.client = self.lan.add("client", 10, "02:00:00:00:03:0a")
        # AF_XDP hands over octets: what a NIC has yet to sum up or to cut would stay undone.
        self.plain = self.lan.add("plain", 11, "02:00:00:00:03:0b")
        self.plain.offload_nothing()
        self.ways = self._ways()

    def addresses(self):
        """Those at which the server is asked."""
        return sorted({way.address for way in self.ways})

    def _ways(self):
        address = self.server.address
        router = self._direct(Router, ROUTE_VIP, "02:00:00:00:02:d3")
        martinet = self._direct(Director, MARTINET_VIP, "02:00:00:00:02:d2")
        twin = self._direct(CDirector, TWIN_VIP, DIRECTOR_MAC)
        return [
            Way("straight", address, self.client),
            Way("straight-plain", address, self.plain),
            Way("route", f"{NETWORK}{ROUTE_VIP}", self.client, router),
            Way("route-plain", f"{NETWORK}{ROUTE_VIP}", self.plain, router),
            Way(CDirector.name, f"{NETWORK}{TWIN_VIP}", self.plain, twin),
            Way(Martinet.name, f"{NETWORK}{MARTINET_VIP}", self.plain, martinet),
        ]

    def _direct(self, kind, vip, mac):
        host = self.lan.add(kind.name, vip - 100, mac)
        for client in (self.client, self.plain):
            client.knows(f"{NETWORK}{vip}", mac)
        subject = kind(host, self.build)
        self.stack.callback(subject.stop)
        subject.start()
        return subject
