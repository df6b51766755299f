// SPDX-License-Identifier: Apache-2.0
import CProbe
import DataPlane
import Glibc

/// A packet socket on one interface (packet(7)): sends packets to MAC addresses, and receives what
/// its filter lets up, or nothing.
///
/// It is of `SOCK_DGRAM`: the kernel writes the Ethernet header, with the interface's MAC address
/// of the moment. It never blocks.
final class PacketSocket {
  let descriptor: Int32
  private let interface: Int32

  /// One that receives nothing. Needs CAP_NET_RAW, as the other does.
  init(interface: Int32) throws(SystemFailure) {
    self.interface = interface
    let type = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    // Of protocol 0, which nothing comes by.
    descriptor = socket(AF_PACKET, type, 0)
    guard descriptor >= 0 else { throw SystemFailure(action: "open a packet socket") }
  }

  /// One that receives packets of `etherType` for which `filter` (linux/filter.h), which begins at
  /// the network header, says so.
  convenience init(
    interface: Int32, receiving etherType: EtherType, _ filter: [sock_filter]
  ) throws(SystemFailure) {
    try self.init(interface: interface)
    guard filter.attach(to: descriptor) == 0 else {
      throw SystemFailure(action: "filter a packet socket")
    }
    guard withAddress(etherType, nil, { bind(descriptor, $0, $1) }) == 0 else {
      throw SystemFailure(action: "bind a packet socket")
    }
  }

  deinit { close(descriptor) }

  /// Sends what follows an Ethernet header.
  func send(
    _ packet: [UInt8], of etherType: EtherType, to macAddress: MACAddress
  ) throws(SystemFailure) {
    let count = withAddress(etherType, macAddress) {
      sendto(descriptor, packet, packet.count, Int32(MSG_NOSIGNAL), $0, $1)
    }
    guard count == packet.count else {
      throw SystemFailure(action: "send a packet of \(packet.count) octets")
    }
  }

  private func withAddress<Result>(
    _ etherType: EtherType, _ macAddress: MACAddress?,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_ll()
    address.sll_family = UInt16(AF_PACKET)
    address.sll_protocol = etherType.rawValue.bigEndian
    address.sll_ifindex = interface
    if let macAddress {
      address.sll_halen = 6
      withUnsafeMutableBytes(of: &address.sll_addr) { $0.copyBytes(from: macAddress.octets) }
    }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_ll>.size))
      }
    }
  }
}

extension [sock_filter] {
  /// Lets a socket receive only what this says; 0, or the errno.
  func attach(to descriptor: Int32) -> Int32 {
    var code = self
    return code.withUnsafeMutableBufferPointer { code in
      var program = sock_fprog(len: UInt16(code.count), filter: code.baseAddress)
      let size = socklen_t(MemoryLayout<sock_fprog>.size)
      return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, size) == 0 ? 0 : errno
    }
  }
}

/// A call to the system failed.
struct SystemFailure: Error, CustomStringConvertible {
  /// The errno.
  let code: Int32
  let description: String

  /// Reads errno.
  init(action: String) {
    code = errno
    description = "cannot \(action): \(String(cString: strerror(code)))"
  }
}
