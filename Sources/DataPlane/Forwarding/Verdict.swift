// SPDX-License-Identifier: Apache-2.0

/// Index of an interface, in the order in which they are configured: of the one that a frame leaves
/// by.
public typealias EgressIndex = UInt8

/// Why a frame was not forwarded. Every reason is counted per worker.
public enum DropReason: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// Shorter than the headers it announces, or a descriptor outside the UMEM.
  case truncated
  /// Not IPv4 or IPv6 under at most two VLAN tags.
  case notIP
  /// Wrong version, header length or total length.
  case badHeader
  /// A later fragment whose first one came too long ago, or did not come while this one was held.
  case fragmentUnmatched
  /// A first fragment without the whole transport header, or a TCP fragment that would overwrite
  /// it (RFC 1858, RFC 3128).
  case tinyFragment
  /// An ICMP error whose quoted packet belongs to no connection.
  case icmpUnmatched
  /// Neither TCP, UDP, SCTP nor an ICMP error.
  case unknownProtocol
  /// No virtual service at (destination address, protocol, port): removed a moment ago.
  case noService
  /// A TCP segment without SYN, or an SCTP packet without INIT, that belongs to no connection.
  case noConnection
  /// No real server has a weight above zero and a resolved address.
  case noRealServer
  /// The connection's real server was removed.
  case realServerRemoved
  /// The connection's real server never had a resolved address.
  case neighborUnresolved
  /// Its time to live ended here; only where the service's policy takes one from it.
  case timeExceeded
  /// A later fragment that was held for its first one and made room for a newer one.
  case fragmentPenFull
  /// The interface that leads to the real server is down, and no more frames wait for it to be up.
  case egressDown
  /// A SYN that came while the worker was behind: dropped by the eBPF program, so that the worker
  /// has neither received nor dropped it.
  case overloaded
  /// Larger than the MTU of the interface it was to leave by; only where another one has more.
  case packetTooBig
  /// The same, but an IPv4 packet without DF: a router would fragment it, the director does not.
  case notFragmented

  /// Whether it happens on a healthy network with a healthy configuration.
  public var isNormal: Bool {
    switch self {
    case .noService, .noConnection, .fragmentUnmatched, .icmpUnmatched, .unknownProtocol,
      .timeExceeded, .packetTooBig:
      true
    case .truncated, .notIP, .badHeader, .tinyFragment, .noRealServer, .realServerRemoved,
      .neighborUnresolved, .fragmentPenFull, .egressDown, .overloaded, .notFragmented:
      false
    }
  }
}

/// What the director says to the sender of a packet that it does not forward.
public enum Answer: UInt8, Sendable, BitwiseCopyable {
  /// ICMP port unreachable: no real server takes the packet (`ip_vs_leave` in the kernel's
  /// ip_vs_core.c).
  case portUnreachable
  /// ICMP time exceeded.
  case timeExceeded
  /// TCP RST: there is no such connection.
  case reset
  /// ICMP fragmentation needed, ICMPv6 packet too big.
  case packetTooBig

  /// As what the packet counts.
  var reason: DropReason {
    switch self {
    case .portUnreachable: .noRealServer
    case .timeExceeded: .timeExceeded
    case .reset: .noConnection
    case .packetTooBig: .packetTooBig
    }
  }

  /// As what the answer counts.
  var kind: SideTraffic {
    switch self {
    case .portUnreachable: .portUnreachable
    case .timeExceeded: .timeExceeded
    case .reset: .reset
    case .packetTooBig: .packetTooBig
    }
  }
}

/// The fate of one frame: forward it by an egress interface, drop it for a reason, send back the
/// answer that was made in its place, or hold it.
public struct Verdict: BitwiseCopyable, Equatable, Sendable {
  var rawValue: UInt16

  @inline(__always) public static func forward(_ egress: EgressIndex) -> Verdict {
    Verdict(rawValue: UInt16(egress))
  }

  @inline(__always) public static func drop(_ reason: DropReason) -> Verdict {
    Verdict(rawValue: 0x100 | UInt16(reason.rawValue))
  }

  /// Another frame, which may come yet, decides this one: a later fragment that came before its
  /// first one. It is untouched and not counted; whoever keeps it asks again.
  @inline(__always) public static var hold: Verdict { Verdict(rawValue: 0x4000) }

  /// The frame is the director's own now, `frameBytes` octets from the descriptor's address on.
  static func answer(_ answer: Answer, frameBytes: Int) -> Verdict {
    let bytes = UInt16(truncatingIfNeeded: frameBytes) & answerBytesMask
    return Verdict(rawValue: 0x8000 | UInt16(answer.rawValue) &<< 13 | bytes)
  }

  private static let answerBytesMask: UInt16 = 0x1fff

  /// Octets of the answer, or 0 where there is none.
  @inline(__always) public var answerBytes: UInt32 {
    rawValue >= 0x8000 ? UInt32(rawValue & Self.answerBytesMask) : 0
  }

  /// What is answered; nil where nothing is.
  public var answer: Answer? {
    rawValue >= 0x8000 ? Answer(rawValue: UInt8(truncatingIfNeeded: rawValue &>> 13 & 3)) : nil
  }

  @inline(__always) public var isForward: Bool { rawValue < 0x100 }

  @inline(__always) var isDrop: Bool { rawValue &>> 8 == 1 }

  /// Valid where `isForward`.
  @inline(__always) public var egress: EgressIndex { EgressIndex(truncatingIfNeeded: rawValue) }

  /// Why the packet was not forwarded; nil where it was, and where it is held.
  public var dropReason: DropReason? {
    if let answer { return answer.reason }
    return isForward || self == .hold
      ? nil : DropReason(rawValue: UInt8(truncatingIfNeeded: rawValue))
  }
}
