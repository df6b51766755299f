// SPDX-License-Identifier: Apache-2.0
import CXDP
import Glibc

/// An interface as the kernel describes it, checked against what AF_XDP and direct routing need.
struct Interface {
  var name: String
  var index: UInt32
  var macAddress: MACAddress
  var mtu: Int
  /// Receive queues in use.
  var queueCount: Int

  /// What the kernel leaves of a frame for the packet: XDP_PACKET_HEADROOM is its own.
  private static let headroomBytes = 256
  /// Ethernet header and two VLAN tags.
  private static let linkHeaderBytes = 14 + 2 * 4

  /// Looks `name` up in the caller's network namespace.
  init(named name: String) throws(PortError) {
    var found = cxdp_interface()
    switch cxdp_describe_interface(name, &found) {
    case 0: break
    case ENODEV:
      throw PortError(
        .noSuchInterface,
        "there is no interface \(name) in this network namespace; `ip link` lists those there are")
    case let code: throw .system("looking up the interface \(name)", code)
    }
    guard found.is_ethernet != 0 else {
      throw PortError(
        .unsupported,
        "\(name) is no Ethernet interface; direct routing rewrites MAC addresses and needs one")
    }
    self.name = name
    index = found.index
    macAddress = withUnsafeBytes(of: found.mac_address) { MACAddress(octets: $0)! }
    mtu = Int(found.mtu)
    queueCount = Int(found.receive_queues)
  }

  /// Another program would only be found out when all else is done.
  func checkFree() throws(PortError) {
    var program: UInt32 = 0
    if bpf_xdp_query_id(Int32(index), 0, &program) == 0, program != 0 {
      throw .programAttached(name)
    }
  }

  /// Octets of a UMEM frame that holds the interface's largest packet.
  func chunkBytes() throws(PortError) -> UInt32 {
    let needed = mtu + Self.linkHeaderBytes + Self.headroomBytes
    for bytes in [2048, 4096] where needed <= bytes { return UInt32(bytes) }
    let largest = 4096 - Self.headroomBytes - Self.linkHeaderBytes
    throw PortError(
      .unsupported,
      "the MTU \(mtu) of \(name) does not fit a frame; `ip link set \(name) mtu \(largest)`")
  }

  /// How many queues get a socket, from queue 0 on.
  func workerCount(_ selection: QueueSelection) throws(PortError) -> Int {
    let wanted =
      switch selection {
      case .all: queueCount
      case .count(let count): count
      }
    guard (1...queueCount).contains(wanted) else {
      throw PortError(
        .unsupported,
        "\(wanted) receive queues of \(name) cannot be had: it uses \(queueCount); ask for all, "
          + "or change their number by `ethtool -L`")
    }
    return wanted
  }
}
