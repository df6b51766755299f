// SPDX-License-Identifier: Apache-2.0

/// Where Martinet differs from the kernel's IPVS on purpose and a frame or a listing shows it: the
/// first cell of its row in the README's table of differences.
enum Deviation: String, CaseIterable {
  case timeToLive =
    "takes one from the TTL or hop limit, answers time exceeded at 1"
  case fragments =
    "reassembles fragments"
  case clientPort20 =
    "leaves a packet from a client's port 20 (FTP data) of no connection to the local stack"
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
  case templateTime =
    "keeps a template's time as the service had it when the template began"
  case refusedTemplate =
    "lists a template whose real server was removed until its time is over, under port 65535"
  case answersOut =
    "counts its own ICMP errors about a connection as packets out"
  case zeroed =
    "`-Z` forgets what its estimator has seen, up to two seconds ago"
  case ownWords =
    "refuses addresses and thresholds out of range by the errno's words"
}
