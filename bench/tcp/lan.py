# SPDX-License-Identifier: Apache-2.0
"""A LAN: hosts, each a network namespace, on one bridge."""
from spaces import link_statistics, remove, run, run_in

PREFIX = "martinet-tcp-"
NETWORK = "192.168.2."


class Lan:
    """The switch. Who has which MAC address is fixed: nothing is learned, asked or flooded."""

    def __init__(self, stack):
        self.stack = stack
        self.space = f"{PREFIX}switch"
        self.hosts = []
        self._add_space(self.space)
        run("ip", "-n", self.space, "link", "add", "lan", "type", "bridge", "stp_state", "0",
            "mcast_snooping", "0")
        run("ip", "-n", self.space, "link", "set", "lan", "up")

    def _add_space(self, space):
        run("ip", "netns", "add", space)
        self.stack.callback(remove, space)
        for family in ("all", "default"):
            run_in(space, "sysctl", "-qw", f"net.ipv6.conf.{family}.disable_ipv6=1",
                   f"net.ipv4.conf.{family}.rp_filter=0")

    def add(self, name, number, mac, interface="lan0"):
        """The host with the address that ends in `number`."""
        host = Host(f"{PREFIX}{name}", number, mac, interface)
        self._add_space(host.space)
        run("ip", "-n", self.space, "link", "add", name, "type", "veth", "peer", "name", interface,
            "address", mac, "netns", host.space)
        run("ip", "-n", self.space, "link", "set", name, "master", "lan", "up")
        run_in(self.space, "bridge", "link", "set", "dev", name, "learning", "off", "flood", "off")
        run_in(self.space, "bridge", "fdb", "replace", mac, "dev", name, "master", "static")
        host.ip("link", "set", "lo", "up")
        host.ip("link", "set", interface, "up")
        host.ip("address", "add", f"{NETWORK}{number}/24", "dev", interface)
        for other in self.hosts:
            host.knows(other.address, other.mac)
            other.knows(host.address, mac)
        self.hosts.append(host)
        return host


class Host:
    """One interface on the LAN; as a director's place it is what wire's subjects call a lane."""

    queues = 1

    def __init__(self, space, number, mac, interface):
        self.space = self.director = space
        self.address, self.mac, self.interface = f"{NETWORK}{number}", mac, interface

    def ip(self, *arguments):
        return run("ip", "-n", self.space, *arguments)

    def knows(self, address, mac):
        self.ip("neigh", "replace", address, "lladdr", mac, "dev", self.interface, "nud",
                "permanent")

    def offload_nothing(self):
        """Every packet leaves whole, at most MTU long, with its checksum in it."""
        run_in(self.space, "ethtool", "-K", self.interface, "tx", "off", "tso", "off", "gso",
               "off", "gro", "off")

    def octets(self):
        """Octets that the interface has received and sent."""
        counted = link_statistics(self.space, self.interface)
        return sum(counted[direction]["bytes"] for direction in ("rx", "tx"))
