// SPDX-License-Identifier: Apache-2.0

/// What a worker did besides forwarding the packets of connections. Every kind is counted per
/// worker, in packets.
public enum SideTraffic: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// ICMP errors that went to the real server of the connection they quote, RFC 792.
  case icmpUnreachable
  /// Unreachable with code 4, which path MTU discovery needs (RFC 1191).
  case icmpFragmentationNeeded
  case icmpSourceQuench
  case icmpTimeExceeded
  case icmpParameterProblem
  /// The same for IPv6, RFC 4443 §3.
  case icmpv6Unreachable
  case icmpv6PacketTooBig
  case icmpv6TimeExceeded
  case icmpv6ParameterProblem
  /// Errors of the types that RFC 4443 leaves to the future and to experiments.
  case icmpv6Other
  /// First fragments that were forwarded, and later ones that followed them.
  case firstFragment
  case laterFragment
  /// First fragments remembered in the place of another datagram that had time left.
  case fragmentEvicted
  /// ICMP port unreachable, sent to a client for whom no real server was available.
  case portUnreachable
  /// Packets that began a connection of a persistent service whose client is not remembered: its
  /// bucket of the templates is full.
  case unpersisted
  /// ICMP time exceeded, sent to a client whose packet's time to live ended here.
  case timeExceeded
  /// TCP RST, sent to the sender of a segment of no connection.
  case reset
  /// ICMP fragmentation needed or packet too big, sent to a client whose packet is larger than the
  /// MTU of the interface it was to leave by.
  case packetTooBig
}
