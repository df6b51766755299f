// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// Which of two directors the VIPs belong to, in keepalived's words (VRRP, RFC 5798 §6.4).
public enum DirectorRole: String, CaseIterable, Hashable, Sendable {
  /// Has the VIPs on its interfaces, so that its kernel answers ARP and neighbour solicitations.
  case master
  /// Forwards what reaches it all the same, and leaves the VIPs to the other.
  case backup
}

/// A VIP, and whether this host has it.
public struct VirtualAddressStatus: Hashable, Sendable {
  public var address: IPAddress
  public var isHeld: Bool
}

/// Puts the VIPs of all services on the director's interfaces and tells their LANs, while it is
/// master.
///
/// A kernel answers ARP for its IPv4 addresses by whatever interface it is asked on (arp_ignore 0),
/// so that they are put on the first one alone. Neighbour solicitations it answers only on an
/// interface that has the IPv6 address (`ndisc_recv_ns` of net/ipv6/ndisc.c): that goes on each.
///
/// An address that something else put there is used as it is and never removed. Those put there by
/// a director are marked in the kernel (IFA_PROTO, Linux 5.18), so that the next one takes back
/// what an ended one has left.
public actor VirtualAddressOwner {
  /// `u8` of an address that a director has put there; rtnetlink.h leaves 3…255 to programs, and
  /// no program of /etc/iproute2/rt_addrprotos has this one.
  static let addressProtocol: UInt8 = 0xd5
  /// RFC 5227 §2.3 asks for two announcements, RFC 4861 §7.2.6 allows three, a second apart.
  private static let announcements = 3
  private static let announcementInterval = Duration.seconds(1)
  /// How soon an address comes back that another hand has removed.
  private static let lookInterval = Duration.seconds(2)

  public nonisolated let interface: String
  public private(set) var role: DirectorRole
  private let socket: NetlinkSocket
  private let arms: [Arm]
  private let script: NotifyScript?
  private let logger: Logger

  private var vips: Set<IPAddress> = []
  private var held: Set<IPAddress> = []
  /// Put there by this process, on a kernel that may not keep the mark.
  private var added: Set<Place> = []
  /// What was in the way last, so that it is logged once.
  private var trouble = ""
  /// Whether there is something to tell the LANs.
  private var isNews = false
  private var announcing: Task<Void, Never>?

  /// An interface, and where its LAN is told.
  private struct Arm {
    let name: String
    let index: Int32
    let isFirst: Bool
    let sender: PacketSocket

    func takes(_ vip: IPAddress) -> Bool { isFirst || vip.isVersion6 }
  }

  /// An address on an interface.
  private struct Place: Hashable {
    var address: IPAddress
    var interfaceIndex: Int32
  }

  /// Of the network namespace of the calling thread; throws what is in the way, as missing
  /// capabilities.
  ///
  /// - Parameters:
  ///   - interfaces: at least one; the first one gets all VIPs.
  ///   - notify: the command for changes of role, a path and arguments; nil for none.
  public init(
    interfaces: [InterfaceDescription], role: DirectorRole, notify: String?, logger: Logger
  ) throws(DirectorError) {
    let interface = interfaces[0].name
    self.interface = interface
    self.role = role
    self.logger = logger
    script = notify.map { NotifyScript($0, interface: interface, logger: logger) }
    do {
      socket = try NetlinkSocket()
      var arms: [Arm] = []
      for interface in interfaces {
        let index = Int32(interface.index)
        arms.append(
          Arm(
            name: interface.name, index: index, isFirst: arms.isEmpty,
            sender: try PacketSocket(interface: index)))
      }
      self.arms = arms
    } catch {
      throw .system("\(error)")
    }
  }

  /// Follows the services' VIPs until the task is cancelled, then takes its addresses back.
  public func run(_ changes: AsyncStream<Set<IPAddress>>) async {
    let telling = script.map { script in Task { await script.run() } }
    script?.tell(.init(role))
    await withTaskGroup(of: Void.self) { group in
      group.addTask { for await vips in changes { await self.serve(vips) } }
      group.addTask {
        while !Task.isCancelled {
          await self.reconcile()
          try? await Task.sleep(for: Self.lookInterval)
        }
      }
    }
    withdraw()
    script?.stop()
    await telling?.value
  }

  public var statuses: [VirtualAddressStatus] {
    vips.sorted().map { VirtualAddressStatus(address: $0, isHeld: held.contains($0)) }
  }

  /// Takes the VIPs, or leaves them. A master that is told so again announces them again.
  public func become(_ role: DirectorRole) {
    let isNews = role != self.role
    self.role = role
    if isNews { logger.notice("role", metadata: ["role": "\(role.rawValue)"]) }
    if role == .master {
      held.removeAll()
    } else {
      announcing?.cancel()
    }
    reconcile()
    if isNews { script?.tell(.init(role)) }
  }

  /// Tells the LAN again where the VIPs are; a backup has none to tell.
  ///
  /// - Returns: what is told.
  @discardableResult
  public func announce() -> [IPAddress] {
    let addresses = held.sorted()
    announcing?.cancel()
    guard !addresses.isEmpty else { return [] }
    send(addresses)
    announcing = Task {
      for _ in 1..<Self.announcements {
        try? await Task.sleep(for: Self.announcementInterval)
        if Task.isCancelled { return }
        send(held.intersection(addresses).sorted())
      }
    }
    return addresses
  }

  private func serve(_ vips: Set<IPAddress>) {
    guard vips != self.vips else { return }
    self.vips = vips
    reconcile()
  }

  private func withdraw() {
    announcing?.cancel()
    vips.removeAll()
    reconcile()
  }

  // MARK: The interfaces

  /// Makes the interfaces' addresses what they must be, and announces those that are new. One that
  /// cannot have them keeps no other from it.
  private func reconcile() {
    let wanted = role == .master ? vips : []
    var trouble: [String] = []
    do throws(NetlinkError) {
      let present = try socket.addresses()
      for arm in arms {
        do throws(NetlinkError) {
          try reconcile(arm, wanted, present.filter { $0.interfaceIndex == arm.index })
          if arm.isFirst, wanted != held {
            held = wanted
            isNews = true
          }
        } catch {
          trouble.append("\(arm.name): \(error)")
        }
      }
    } catch {
      trouble.append("\(error)")
    }
    if isNews { announce() }
    isNews = false
    let said = trouble.joined(separator: "; ")
    if self.trouble != said, !said.isEmpty { logger.error("VIPs are not in place: \(said)") }
    self.trouble = said
  }

  /// - Parameter present: what the interface has.
  private func reconcile(
    _ arm: Arm, _ vips: Set<IPAddress>, _ present: [InterfaceAddress]
  ) throws(NetlinkError) {
    let wanted = vips.filter(arm.takes)
    for address in present where !wanted.contains(address.address) && isOurs(address) {
      try socket.removeHostAddress(address.address, interfaceIndex: arm.index)
      logger.info("VIP left", metadata: metadata(address.address, arm))
    }
    added = added.filter { $0.interfaceIndex != arm.index || wanted.contains($0.address) }
    for vip in wanted.subtracting(present.map(\.address)).sorted() {
      try socket.addHostAddress(
        vip, interfaceIndex: arm.index, addressProtocol: Self.addressProtocol)
      added.insert(Place(address: vip, interfaceIndex: arm.index))
      isNews = true
      logger.info("VIP taken", metadata: metadata(vip, arm))
    }
  }

  private func isOurs(_ address: InterfaceAddress) -> Bool {
    address.addressProtocol == Self.addressProtocol
      || address.prefixLength == address.address.bitWidth
        && added.contains(Place(address: address.address, interfaceIndex: address.interfaceIndex))
  }

  private func send(_ addresses: [IPAddress]) {
    for arm in arms {
      do {
        guard let macAddress = try socket.link(index: arm.index)?.macAddress else { continue }
        for address in addresses {
          let announcement = Announcement(of: address, at: macAddress)
          try arm.sender.send(
            announcement.packet, of: announcement.etherType, to: announcement.destination)
        }
      } catch {
        logger.warning(
          "VIPs are not announced: \(error)", metadata: ["interface": "\(arm.name)"])
      }
    }
  }

  private func metadata(_ address: IPAddress, _ arm: Arm) -> Logger.Metadata {
    ["vip": "\(address)", "interface": "\(arm.name)"]
  }
}
