// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A GET, and what passes for its answer.
public struct HTTPQuestion: Hashable, Sendable {
  public var path = "/"
  /// The `Host` field; nil for the address.
  public var host: String?
  public var statuses: [ClosedRange<UInt16>] = [200...299]
  /// What the body has somewhere in its first 64 KiB; nil if that does not matter.
  public var body: String?

  public init() {}
}

/// What a TLS client says and wants to see.
public struct TLSQuestion: Hashable, Sendable {
  /// The name asked for (RFC 6066 §3); nil for the `Host` where that is a name.
  public var serverName: String?
  /// Whether the certificate has to be valid, for the server's name or else its address.
  public var isVerified = false
  /// The file of certificates to verify by; nil for the system's.
  public var authorities: String?

  public init() {}
}

/// A datagram, and what passes for its answer.
public struct DatagramQuestion: Hashable, Sendable {
  public var payload: [UInt8] = []
  /// Whether silence is a failure; where not, only an ICMP error is one.
  public var needsReply = false
  /// What the reply has somewhere; nil if that does not matter.
  public var reply: [UInt8]?

  public init() {}
}

/// A query (RFC 1035); a response without error is its answer.
public struct DNSQuestion: Hashable, Sendable {
  /// Numbers of RFC 1035 §3.2.2 and RFC 3596.
  public enum RecordType: UInt16, CaseIterable, Sendable {
    case A = 1
    case NS = 2
    case CNAME = 5
    case SOA = 6
    case MX = 15
    case TXT = 16
    case AAAA = 28
  }

  /// The root is `.`
  public var name = "."
  public var type = RecordType.SOA

  public init() {}
}
