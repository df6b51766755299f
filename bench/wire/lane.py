# SPDX-License-Identifier: Apache-2.0
"""A lane: two network namespaces and the veth between them, for one subject."""
import re

from spaces import link_statistics, remove, run, run_in

DIRECTOR_MAC = "02:00:00:00:02:d1"
REAL_SERVERS = {151: "02:00:00:00:01:97", 152: "02:00:00:00:01:98"}
VIP4, VIP6, PORT = "192.168.2.149", "fd00:2::149", 4000
PREFIX = "martinet-wire-"


class Lane:
    """`far` has the station on far0, `director` the subject on lan0."""

    def __init__(self, name, queues=1):
        self.far, self.director = f"{PREFIX}{name}-far", f"{PREFIX}{name}"
        self.queues = queues
        for space in (self.far, self.director):
            run("ip", "netns", "add", space)
        run(
            "ip", "-n", self.far, "link", "add", "far0", "address", REAL_SERVERS[151],
            "numrxqueues", str(queues), "numtxqueues", str(queues), "type", "veth", "peer", "name",
            "lan0", "address", DIRECTOR_MAC, "numrxqueues", str(queues), "numtxqueues",
            str(queues), "netns", self.director)
        # Nothing but the station's frames on the wire: multicast reports are over at once.
        run_in(self.far, "sysctl", "-qw", "net.ipv6.conf.far0.disable_ipv6=1")
        run_in(
            self.director, "sysctl", "-qw", "net.ipv6.conf.lan0.router_solicitations=0",
            "net.ipv6.conf.lan0.accept_dad=0",
            "net.ipv6.conf.lan0.mldv2_unsolicited_report_interval=1")
        for space, interface in ((self.far, "far0"), (self.director, "lan0")):
            run("ip", "-n", space, "link", "set", interface, "up")
        self.ip("address", "add", "192.168.2.150/24", "dev", "lan0")
        self.ip("address", "add", "fd00:2::150/64", "dev", "lan0", "nodad")
        for number, mac in REAL_SERVERS.items():
            for address in (f"192.168.2.{number}", f"fd00:2::{number}"):
                self.ip(
                    "neigh", "replace", address, "lladdr", mac, "dev", "lan0", "nud", "permanent")

    def close(self):
        for space in (self.far, self.director):
            remove(space)

    def ip(self, *arguments):
        return run("ip", "-n", self.director, *arguments)

    def counters(self):
        """What the two interfaces have counted, by our names."""
        lan = self._driver(self.director, "lan0")

        def total(counters, ending):
            return sum(v for k, v in counters.items() if re.fullmatch(rf".*_queue_\d+_{ending}", k))

        received, redirected = total(lan, "xdp_packets"), total(lan, "xdp_redirect")
        refused, dropped = total(lan, "drops"), total(lan, "xdp_drops")
        sent_back = total(lan, "xdp_tx") + total(lan, "xdp_tx_errors")
        return {
            "far ring full": self._dropped(self.far, "far0"),
            "received": received,
            "redirected": redirected,
            "socket full": refused,
            "xdp drop": dropped,
            "to the kernel": received - redirected - refused - dropped - sent_back,
            "lan0 tx full": self._dropped(self.director, "lan0"),
        }

    def _driver(self, space, interface):
        text = run_in(space, "ethtool", "-S", interface)
        return {k: int(v) for k, v in re.findall(r"(\w+): (\d+)", text)}

    @staticmethod
    def _dropped(space, interface):
        """Frames for which the other end's ring had no room."""
        return link_statistics(space, interface)["tx"]["dropped"]
