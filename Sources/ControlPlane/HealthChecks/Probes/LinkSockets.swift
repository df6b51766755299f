// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// The packet sockets that VIPs are asked by: one for each interface and IP version, open from the
/// first question on. A filter in the kernel lets nothing up but what can be an answer.
final class LinkSockets {
  /// What answers come to: above the ports that Linux gives out by itself (ip(7),
  /// `ip_local_port_range` up to 60999), so that they are nobody's.
  static let ports = Port(61_000)...Port(.max)
  private static let addressesAge = Duration.seconds(5)
  /// Of a packet; the rest of a longer one is cut off.
  private static let packetLimit = 4096

  /// By real server.
  var neighbors: [IPAddress: Neighbor] = [:]
  /// By `EgressIndex`.
  private let interfaces: [Int32]
  private let poller: Poller
  /// The interfaces' own addresses, and when they were read.
  private var own: (addresses: [InterfaceAddress], read: Duration)?
  private var sockets: [SocketKey: PacketSocket] = [:]
  private var probes: [Port: (probe: VIPProbe, token: UInt64)] = [:]
  private var lastPort = Port(.random(in: ports.lowerBound.rawValue...ports.upperBound.rawValue))

  private struct SocketKey: Hashable {
    var interface: Int32
    var isIPv6: Bool
  }

  init(interfaces: [Int32], poller: Poller) {
    self.interfaces = interfaces
    self.poller = poller
  }

  /// An address of the real server's interface on its network. The kernel's own choice may be the
  /// VIP (RFC 6724 §5, rule 8), to which no answer comes.
  func source(towards realServer: IPAddress, notBeing vip: IPAddress) -> IPAddress? {
    let now = monotonicTime()
    if own.map({ now - $0.read >= Self.addressesAge }) ?? true {
      let all = (try? NetlinkSocket().addresses()) ?? []
      own = (all.filter { !$0.isDeprecated }, now)
    }
    let interface = interface(towards: realServer)
    return own?.addresses.first {
      $0.interfaceIndex == interface && $0.address != vip && $0.isNeighbor(of: realServer)
    }?.address
  }

  /// The first one, where it is not known.
  private func interface(towards realServer: IPAddress) -> Int32 {
    interfaces[Int(neighbors[realServer]?.egress ?? 0)]
  }

  /// A port for the probe's answer; nil where all are taken.
  func take(for probe: VIPProbe, _ token: UInt64) -> Port? {
    let count = Int(Self.ports.upperBound.rawValue - Self.ports.lowerBound.rawValue) + 1
    for _ in 0..<count {
      lastPort =
        lastPort == Self.ports.upperBound
        ? Self.ports.lowerBound : Port(lastPort.rawValue + 1)
      guard probes[lastPort] == nil else { continue }
      probes[lastPort] = (probe, token)
      return lastPort
    }
    return nil
  }

  func release(_ port: Port) { probes[port] = nil }

  /// 0, or the errno; nil where the real server's MAC address is not known.
  func send(_ packet: [UInt8], to realServer: IPAddress, isIPv6: Bool) -> Int32? {
    guard let macAddress = neighbors[realServer]?.macAddress else { return nil }
    let interface = interface(towards: realServer)
    let key = SocketKey(interface: interface, isIPv6: isIPv6)
    let etherType: EtherType = isIPv6 ? .ipv6 : .ipv4
    do throws(SystemFailure) {
      if sockets[key] == nil {
        let socket = try PacketSocket(
          interface: interface, receiving: etherType, isIPv6 ? LinkFilter.ipv6 : LinkFilter.ipv4)
        let code = poller.watch(socket.descriptor, as: Poller.linkToken)
        guard code == 0 else { return code }
        sockets[key] = socket
      }
      try sockets[key]!.send(packet, of: etherType, to: macAddress)
      return 0
    } catch {
      return error.code
    }
  }

  /// Hands what has come to the probes that it is for; returns the tokens of those that have their
  /// result.
  func receive() -> [UInt64] {
    var answered: [UInt64] = []
    for socket in sockets.values {
      withUnsafeTemporaryAllocation(byteCount: Self.packetLimit, alignment: 16) { room in
        // So many at most in one go: a flood keeps no other check waiting.
        for _ in 0..<64 {
          let count = recv(socket.descriptor, room.baseAddress, room.count, 0)
          guard count >= 0 else { return }
          let packet = UnsafeRawBufferPointer(rebasing: room[..<count])
          guard let answer = LinkAnswer(packet), let (probe, token) = probes[answer.ownPort],
            probe.take(answer)
          else { continue }
          answered.append(token)
        }
      }
    }
    return answered
  }
}
