# SPDX-License-Identifier: Apache-2.0
"""DPDK's testpmd as the source of frames: another's generator beside our own."""
import re
import shutil
import subprocess
import time

from lane import PORT, VIP4
from spaces import inside, link_statistics

MISSING = None if shutil.which("dpdk-testpmd") else "no dpdk-testpmd: apt-get install dpdk-dev"


class Sender:
    """On far0 by AF_PACKET: UDP from 256 addresses to the VIP, as much as goes, without a stamp."""

    def __init__(self, space, to, cpu):
        self._space = space
        # One of its two threads sleeps.
        self._process = subprocess.Popen(
            inside(
                space, cpu, "stdbuf", "-oL", "dpdk-testpmd", "--lcores", f"0@{cpu},1@{cpu}",
                "--no-pci", "--no-huge", "-m", "256", "--file-prefix", f"{space}-sender", "--vdev",
                "net_af_packet0,iface=far0,qdisc_bypass=1", "--", "-i", "--forward-mode=txonly",
                "--txonly-multi-flow", f"--tx-ip=10.0.0.1,{VIP4}", f"--tx-udp=1024,{PORT}",
                f"--eth-peer=0,{to}", "--total-num-mbufs=8192"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._wait_for(r"^Done$")

    def _wait_for(self, pattern):
        said = []
        for line in self._process.stdout:
            said.append(line)
            if re.search(pattern, line):
                return
        raise SystemExit(f"FAIL: testpmd ended: {''.join(said)[-600:]}")

    def _say(self, word):
        print(word, file=self._process.stdin, flush=True)

    def send(self, seconds):
        """Returns when no frame is on its way out any more; the seconds that it took."""
        began = time.monotonic()
        self._say("start")
        time.sleep(seconds)
        self._say("stop")
        # Its last word: a line that is left unread would be taken for the next answer.
        self._wait_for(r"^Done\.$")
        return time.monotonic() - began

    def given(self):
        """Frames that the interface was given so far, as soon as the far end has seen them.

        testpmd's own count has those that stay in its ring.
        """
        sent = link_statistics(self._space, "far0")["tx"]
        return sent["packets"] + sent["dropped"]

    def close(self):
        self._say("quit")
        self._process.communicate(timeout=10)
