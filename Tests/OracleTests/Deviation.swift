// SPDX-License-Identifier: Apache-2.0

/// Where Martinet differs from the kernel's IPVS on purpose and a frame or a listing shows it: the
/// first cell of its row in the README's table of differences.
enum Deviation: String, CaseIterable {
  case timeToLive =
    "takes one from the TTL or hop limit, answers time exceeded at 1"
  case fragments =
    "reassembles fragments"
  case unmatchedError =
    "leaves an ICMP error that quotes no connection to the local stack"
  case parameterProblem = """
    forwards ICMP unreachable, source quench and time exceeded by the connection they quote
    """
  case loweredThreshold = """
    an upper threshold that is lowered below the present count acts after one more connection
    """
  case outlivedTemplate = """
    a template that outlives its timeout because of a live connection gets 60 s with each new one
    """
  case templateTime =
    "keeps a template's time as the service had it when the template began"
  case refusedTemplate = """
    lists a template whose real server was removed, or quiesced under \
    `expire_quiescent_template`, until its time is over, under port 65535
    """
  case ownWords =
    "refuses addresses and thresholds out of range by the errno's words"
  case unsorted =
    "lists services in the order of its hash table with `--nosort`"
  case answersOut =
    "counts its own ICMP errors about a connection as packets out"
  case zeroed =
    "`-Z` forgets what its estimator has seen, up to two seconds ago"
  case longPersistence =
    "`-p` of up to 31 days"
  case strayAssociation = """
    leaves an SCTP packet of no association to the local stack, which answers ABORT or protocol \
    unreachable
    """
  case chunkBehindHeaders =
    "looks for SCTP's first chunk right behind the IPv6 header"
  case clientPort20 =
    "leaves a packet from a client's port 20 (FTP data) of no connection to the local stack"
  case passivePorts =
    "takes other ports of a VIP for its service of port 21 (FTP data) where no other does"
  case connectionFirst = """
    looks for a packet's connection before its service: one to a port of a service of all ports \
    outlives a new service of that port
    """
  case negativeMark =
    "lists a mark above 2147483647 as a negative number"
  case severalPorts =
    "takes a real server of a mark several times, with different ports"
  case localityOfMarks =
    "`lblc` and `lblcr` of a mark keep each of its VIPs by itself"
  case datagramToRemoved =
    "drops a UDP flow whose real server was removed, until it expires (`expire_nodest_conn`)"
  case synToRemoved =
    "drops a SYN on a live connection whose real server was removed (`expire_nodest_conn`)"
  case synToQuiesced = """
    sends a SYN on a live connection to its real server though that is quiesced \
    (`expire_nodest_conn`)
    """
  case reusedInFinWait =
    "sends a SYN on a connection in FIN_WAIT to its real server (`conn_reuse_mode` 1)"
  case synWithReset =
    "forgets a closed connection at a segment with SYN and RST, and does not forward it"
  case unresolved =
    "gives a real server that does not resolve its share of connections"
  case routes =
    "reaches real servers by any route"
  case methods =
    "`-m`, `-i`, `--pe`, `--start-daemon`"
  case restoreStops = """
    `ipvsadm -R` and `ipvsadm-restore` stop at a line that is no command, with those before it \
    carried out; its exit code is the last line's
    """

  /// The rows that need more than one queue, much time or many clients to show, or none of the
  /// frames and listings here, with the test of each.
  static let provenElsewhere = [
    "as many templates as memory holds": "PersistenceTests.aFullTableIsCountedAndForwardingGoesOn",
    "one `rr` or `wrr` cursor per service": "SchedulingTests.eachWorkerGoesRoundByItself",
    "`wrr`'s current weight follows each change of the list":
      "SchedulingTests.weightedRoundRobinTakesChangesTogetherAsOne",
    "takes for `-f` what netfilter marked": "WideTests.manyPorts",
    "counts an expired connection no more at once": "ConnectionTests.theSweepFreesWhatHasExpired",
    """
    answers ICMP port unreachable where no real server is available, limited by \
    `icmp_ratelimit` per client, and RST to a segment of no connection
    """: "PortUnreachableTests.answersAreLimited",
    "fragments an IPv4 packet without DF that is larger than its egress's MTU":
      "PacketTooBigTests.whatMayBeFragmentedIsDropped",
    "one table, grown at need": "OverloadTests.establishedConnectionsNeverYield",
    "`drop_entry` drops half-open and idle connections at random, once it is turned on":
      "OverloadTests.aHalfOpenConnectionYieldsAfterThreeSeconds",
    "`drop_packet` drops one of so many SYNs while memory is short, once it is turned on":
      "AdmissionTests.aFloodIsCutAndConnectionsAreNot",
  ]
}
