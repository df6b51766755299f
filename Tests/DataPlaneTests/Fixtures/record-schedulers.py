# SPDX-License-Identifier: Apache-2.0
"""The guest's half of record-schedulers: commands and packets, and what became of them.

A line is a step. `service NAME FLAGS PORT FAMILY`, `real NUMBER WEIGHT UPPER LOWER` adds or
edits, `gone NUMBER` removes, `wait` lets connections in FIN_WAIT expire, `half` lets half a
day pass, and a packet is `udp`, `syn`, `ack` or `fin`
with client address and port; udp and syn end in the real server's number, 0 for none.
"""
import random
import socket
import struct
import subprocess
import sys
import time

random.seed(1)
port = 1000
service = None
vip = None
tcp = None
known = set()
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def ipvsadm(*words):
    subprocess.run(["ipvsadm", *words], check=True)


def begin(name, flags="-", family=4, protocol="-u"):
    global port, service, vip, known, tcp
    port += 1
    known = set()
    tcp = protocol == "-t"
    vip = "192.168.1.149" if family == 4 else "2001:db8::149"
    host = vip if family == 4 else "[%s]" % vip
    service = (protocol, "%s:%d" % (host, port))
    print("service", name, flags, port, family)
    ipvsadm("-A", *service, "-s", name, *(["-b", flags] if flags != "-" else []))


def real(number, weight, upper=0, lower=0):
    print("real", number, weight, upper, lower)
    name = "192.168.1.%d" % (150 + number) if ":" not in vip else "[2001:db8::%d]" % (150 + number)
    ipvsadm("-e" if number in known else "-a", *service, "-r", "%s:%d" % (name, port), "-g",
            "-w", str(weight), "-x", str(upper), "-y", str(lower))
    known.add(number)


def gone(number):
    print("gone", number)
    ipvsadm("-d", *service, "-r", "192.168.1.%d:%d" % (150 + number, port))
    known.remove(number)


def chosen():
    """By (client, client port), of the present service."""
    found = {}
    for line in open("/proc/net/ip_vs_conn").read().splitlines()[1:]:
        words = line.split()
        if int(words[4], 16) != port:
            continue
        if ":" in words[1]:
            client = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[1].replace(":", "")))
            number = int(words[5].split(":")[-1]) - 150
        else:
            client = socket.inet_ntoa(bytes.fromhex(words[1]))
            number = int(words[5][6:], 16) - 150
        found[client, int(words[2], 16)] = number
    return found


def client(family=4):
    source = random.randrange(1024, 65536)
    if family == 6:
        words = [random.randrange(65536) for _ in range(6)]
        text = "fd00:10:" + ":".join("%x" % word for word in words)
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text)), source
    return "10.%d.%d.%d" % tuple(random.randrange(1, 255) for _ in range(3)), source


def datagram(address, source):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        if family == socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, 75, 1)
        sender.bind((address, source))
        try:
            sender.sendto(b"?", (vip, port))
        except OSError:
            pass


def segment(flags, address, source):
    """A TCP segment; the kernel fills in the IP checksum."""
    body = struct.pack("!HHIIBBHHH", source, port, 1, 0, 5 << 4, flags, 1024, 0, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0,
                         socket.inet_aton(address), socket.inet_aton(vip))
    try:
        raw.sendto(header + body, (vip, 0))
    except OSError:
        pass


def clients(count, family=4):
    """Opens that need no answer in between: all sent, then all read."""
    flows = [client(family) for _ in range(count)]
    for flow in flows:
        datagram(*flow)
    answers = chosen()
    for flow in flows:
        print("udp", *flow, answers.get(flow, 0))


def syn():
    flow = client()
    segment(2, *flow)
    print("syn", *flow, chosen().get(flow, 0))
    return flow


def established(flow):
    segment(16, *flow)
    print("ack", *flow)


def closing(flow):
    established(flow)
    segment(17, *flow)
    print("fin", *flow)


def wait():
    print("wait", flush=True)
    time.sleep(4)


def day():
    """With a packet at noon. Instead of 24 hours the time of expiration is 4 s for the last one."""
    sys.stdout.flush()
    time.sleep(6)
    print("half")
    flows = [syn()]
    print("half")
    expiration(4)
    flows.append(syn())
    expiration(86400)
    return flows


def expiration(seconds):
    for name in "lblc", "lblcr":
        with open("/proc/sys/net/ipv4/vs/%s_expiration" % name, "w") as file:
            file.write(str(seconds))


def hashing():
    for name, flags in (("sh", "-"), ("sh", "sh-port"), ("sh", "sh-fallback"),
                        ("sh", "sh-fallback,sh-port"), ("mh", "-"), ("mh", "mh-port"),
                        ("mh", "mh-fallback"), ("mh", "mh-fallback,mh-port"), ("dh", "-")):
        begin(name, flags)
        clients(2)
        real(1, 1)
        real(2, 3)
        clients(60)
        real(3, 2)
        real(4, 0)
        clients(120)
        # Drained: mh keeps its slots, sh takes all but one away.
        real(2, 0)
        clients(120)
    begin("mh")
    for number, weight in ((1, 65535), (2, 1), (3, 400), (4, 30000), (5, 12345), (6, 7)):
        real(number, weight)
    clients(300)
    begin("mh")
    for number, weight in ((1, 30), (2, 70), (3, 110)):
        real(number, weight)
    clients(200)
    for name, flags in (("sh", "sh-port"), ("mh", "mh-port"), ("mh", "-")):
        begin(name, flags, 6)
        for number in (1, 2, 3):
            real(number, number)
        clients(60, 6)


def counting(*names):
    for name in names:
        begin(name, protocol="-t")
        for number, weight in ((1, 1), (2, 4), (3, 7), (4, 0), (5, 4)):
            real(number, weight)
        flows = []
        for step in range(90):
            flows.append(syn())
            if step % 3 == 0:
                established(flows[-1])
            if step % 4 == 3:
                closing(flows.pop(random.randrange(len(flows))))
            if step == 60:
                real(3, 2)


def thresholds(*names):
    for name in names:
        begin(name, protocol="-t")
        real(1, 5, 6, 3)
        real(2, 9, 8, 0)
        real(3, 1, 20, 19)
        flows = [syn() for _ in range(30)]
        for flow in flows[::4] + flows[1::4]:
            closing(flow)
        wait()
        flows = [syn() for _ in range(12)]
        for flow in flows[::2]:
            closing(flow)
        wait()
        for _ in range(25):
            syn()
        real(2, 9, 30, 0)
        real(1, 5, 0, 0)
        for _ in range(20):
            syn()


def localities():
    for name in ("lblc", "lblcr"):
        begin(name, protocol="-t")
        for number, weight in ((1, 3), (2, 1), (3, 2)):
            real(number, weight)
        flows = []
        for step in range(240):
            flows += day() if step % 40 == 39 else [syn()]
            if random.randrange(2):
                established(flows[-1])
            if step % 80 > 20 and len(flows) > 1:
                closing(flows.pop(random.randrange(len(flows))))
                closing(flows.pop(random.randrange(len(flows))))
            if step == 70:
                gone(3)
            if step == 75:
                real(3, 2)
            if step == 120:
                real(4, 30)
            if step == 160:
                gone(1)
            if step == 200:
                real(2, 0)


COUNTING = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf")
ipvsadm("--set", "900", "120", "300")
print("# schedulers of Linux", " ".join(open("/proc/sys/kernel/osrelease").read().split()))
hashing()
counting(*COUNTING)
ipvsadm("--set", "900", "1", "300")
thresholds(*COUNTING)
ipvsadm("--set", "900", "120", "300")
counting("lblc", "lblcr")
localities()
ipvsadm("--set", "900", "1", "300")
thresholds("lblc", "lblcr")
print("# end", flush=True)
