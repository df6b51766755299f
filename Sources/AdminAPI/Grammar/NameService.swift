// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Glibc

/// Host and service names, to numbers and back.
public struct NameService: Sendable {
  /// The first IPv4 address of a host: names of IPv6 hosts are not looked up by ipvsadm.
  public var address: @Sendable (_ hostName: String) -> IPv4Address?
  public var port: @Sendable (_ serviceName: String, IPProtocol) -> Port?
  public var hostName: @Sendable (IPAddress) -> String?
  public var serviceName: @Sendable (Port, IPProtocol) -> String?

  public init(
    address: @escaping @Sendable (String) -> IPv4Address?,
    port: @escaping @Sendable (String, IPProtocol) -> Port?,
    hostName: @escaping @Sendable (IPAddress) -> String?,
    serviceName: @escaping @Sendable (Port, IPProtocol) -> String?
  ) {
    self.address = address
    self.port = port
    self.hostName = hostName
    self.serviceName = serviceName
  }

  /// Knows no names: numbers only.
  public static let none = NameService(
    address: { _ in nil }, port: { _, _ in nil }, hostName: { _ in nil },
    serviceName: { _, _ in nil })

  /// The C library's: /etc/hosts, DNS, /etc/services. May block for as long as DNS does.
  public static let system = NameService(
    address: systemAddress, port: systemPort, hostName: systemHostName,
    serviceName: systemServiceName)
}

private func systemAddress(of hostName: String) -> IPv4Address? {
  var hints = addrinfo()
  hints.ai_family = AF_INET
  var list: UnsafeMutablePointer<addrinfo>?
  guard getaddrinfo(hostName, nil, &hints, &list) == 0, let list else { return nil }
  defer { freeaddrinfo(list) }
  return list.pointee.ai_addr?.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
    IPv4Address(rawValue: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
  }
}

private func systemPort(of serviceName: String, ipProtocol: IPProtocol) -> Port? {
  guard let entry = getservbyname(serviceName, ipProtocol.serviceProtocol) else { return nil }
  return Port(UInt16(truncatingIfNeeded: entry.pointee.s_port).byteSwapped)
}

private func systemServiceName(of port: Port, ipProtocol: IPProtocol) -> String? {
  getservbyport(Int32(port.rawValue.bigEndian), ipProtocol.serviceProtocol)
    .map { String(cString: $0.pointee.s_name) }
}

private func systemHostName(of address: IPAddress) -> String? {
  switch address {
  case .v4(let address):
    var socketAddress = sockaddr_in()
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_addr.s_addr = address.rawValue.bigEndian
    return hostName(of: &socketAddress, size: MemoryLayout<sockaddr_in>.size)
  case .v6(let address):
    var socketAddress = sockaddr_in6()
    socketAddress.sin6_family = sa_family_t(AF_INET6)
    withUnsafeMutableBytes(of: &socketAddress.sin6_addr) {
      $0.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
      $0.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    return hostName(of: &socketAddress, size: MemoryLayout<sockaddr_in6>.size)
  }
}

private func hostName(of socketAddress: UnsafeRawPointer, size: Int) -> String? {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { name in
    let status = getnameinfo(
      socketAddress.assumingMemoryBound(to: sockaddr.self), socklen_t(size), name.baseAddress,
      socklen_t(name.count), nil, 0, NI_NAMEREQD)
    return status == 0 ? String(cString: name.baseAddress!) : nil
  }
}
