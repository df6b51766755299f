// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane
import Glibc

/// A libnl call failed.
struct NetlinkError: Error, CustomStringConvertible {
  /// `-NLE_*` of netlink/errno.h.
  let code: Int32
  let action: String

  var description: String {
    "cannot \(action): \(String(cString: nl_geterror(code)).lowercased())"
      + (code == -NLE_PERM ? "; run as root or with CAP_NET_ADMIN" : "")
  }
}

/// A routing socket in the network namespace of the thread that makes it. Not thread-safe.
final class NetlinkSocket {
  private static let datagramBytes = 1 << 15
  /// How many messages `receive` hands over at most.
  private static let receiveLimit = 1024

  let handle: OpaquePointer

  /// `groups` are RTNLGRP_* to listen to; such a socket is for `receive` only.
  init(groups: [rtnetlink_groups] = []) throws(NetlinkError) {
    guard let handle = nl_socket_alloc() else {
      throw NetlinkError(code: -NLE_NOMEM, action: "open a netlink socket")
    }
    self.handle = handle
    try check(nl_connect(handle, NETLINK_ROUTE), "open a netlink socket")
    // Room for what the kernel puts into one datagram at most (`netlink_recvmsg` of af_netlink.c
    // says 32 KiB), or libnl would ask for each one's length first.
    try check(
      nl_socket_set_msg_buf_size(handle, Self.datagramBytes), "make room for netlink's answers")
    nl_socket_disable_msg_peek(handle)
    guard !groups.isEmpty else { return }
    nl_socket_disable_seq_check(handle)
    // A full table's worth of events: what overflows costs a fresh look at every address.
    _ = nl_socket_set_buffer_size(handle, 1 << 20, 0)
    for group in groups {
      try check(nl_socket_add_membership(handle, Int32(group.rawValue)), "watch the network")
    }
    try check(nl_socket_set_nonblocking(handle), "watch the network")
  }

  deinit { nl_socket_free(handle) }

  var fileDescriptor: Int32 { nl_socket_get_fd(handle) }

  func check(_ result: Int32, _ action: @autoclosure () -> String) throws(NetlinkError) {
    if result < 0 { throw NetlinkError(code: result, action: action()) }
  }

  /// Sends a request and hands each answer to `answer` until the kernel acknowledges or refuses.
  func request(
    _ message: borrowing NetlinkMessage, _ action: @autoclosure () -> String,
    answer: (UnsafeMutablePointer<nlmsghdr>) -> Void = { _ in }
  ) throws(NetlinkError) {
    try check(nl_send_auto(handle, message.handle), action())
    let result = withoutActuallyEscaping(answer) { answer in
      let exchange = Exchange(answer)
      return exchange.installed(in: handle) {
        while !exchange.isAcknowledged {
          let result = nl_recvmsgs_default(handle)
          if result < 0 { return result }
        }
        return 0
      }
    }
    try check(result, action())
  }

  /// Hands over the messages that have arrived, a thousand at most; returns false if some were
  /// lost.
  func receive(_ event: (UnsafeMutablePointer<nlmsghdr>) -> Void) throws(NetlinkError) -> Bool {
    let result = withoutActuallyEscaping(event) { event in
      Exchange(event).installed(in: handle) {
        var result: Int32 = 0
        for _ in 0..<Self.receiveLimit where result >= 0 { result = nl_recvmsgs_default(handle) }
        return result
      }
    }
    if result == -NLE_NOMEM { return false }
    if result == -NLE_AGAIN { return true }
    try check(result, "watch the network")
    return true
  }
}

/// The callbacks of one exchange.
private final class Exchange {
  private let answer: (UnsafeMutablePointer<nlmsghdr>) -> Void
  private(set) var isAcknowledged = false

  init(_ answer: @escaping (UnsafeMutablePointer<nlmsghdr>) -> Void) {
    self.answer = answer
  }

  func installed(in handle: OpaquePointer, _ body: () -> Int32) -> Int32 {
    let context = Unmanaged.passUnretained(self).toOpaque()
    nl_socket_modify_cb(
      handle, NL_CB_VALID, NL_CB_CUSTOM,
      { message, context in
        Unmanaged<Exchange>.fromOpaque(context!).takeUnretainedValue()
          .answer(nlmsg_hdr(message))
        return Int32(NL_OK.rawValue)
      }, context)
    // A dump ends with NLMSG_DONE, everything else with an acknowledgement.
    for end in [NL_CB_ACK, NL_CB_FINISH] {
      nl_socket_modify_cb(
        handle, end, NL_CB_CUSTOM,
        { _, context in
          Unmanaged<Exchange>.fromOpaque(context!).takeUnretainedValue().isAcknowledged = true
          return Int32(NL_STOP.rawValue)
        }, context)
    }
    return withExtendedLifetime(self) { body() }
  }
}

/// A request: a header of a routing family's own kind, then attributes.
struct NetlinkMessage: ~Copyable {
  let handle: OpaquePointer

  init<Header: BitwiseCopyable>(type: Int32, flags: Int32 = 0, _ header: Header) {
    handle = nlmsg_alloc_simple(type, flags | NLM_F_REQUEST | NLM_F_ACK)!
    var header = header
    nlmsg_append(handle, &header, MemoryLayout<Header>.size, Int32(NLMSG_ALIGNTO))
  }

  deinit { nlmsg_free(handle) }

  func append(_ attribute: Int, _ address: IPAddress) {
    _ = address.withNetworkOctets {
      nla_put(handle, Int32(attribute), Int32($0.count), $0.baseAddress)
    }
  }

  func append(_ attribute: Int, _ value: some BitwiseCopyable) {
    withUnsafeBytes(of: value) {
      _ = nla_put(handle, Int32(attribute), Int32($0.count), $0.baseAddress)
    }
  }
}

extension IPAddress {
  /// AF_INET or AF_INET6.
  var family: Int32 {
    switch self {
    case .v4: AF_INET
    case .v6: AF_INET6
    }
  }

  /// 32 or 128.
  var bitWidth: Int32 {
    switch self {
    case .v4: 32
    case .v6: 128
    }
  }

  func withNetworkOctets<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    switch self {
    case .v4(let address): withUnsafeBytes(of: address.rawValue.bigEndian, body)
    case .v6(let address):
      withUnsafeBytes(of: (address.high.bigEndian, address.low.bigEndian), body)
    }
  }

  /// A libnl address of full length, to be released with `nl_addr_put`.
  func makeNetlinkAddress() -> OpaquePointer {
    withNetworkOctets {
      nl_addr_build(family, UnsafeMutableRawPointer(mutating: $0.baseAddress!), $0.count)
    }
  }

  /// nil for another family than IPv4 or IPv6.
  init?(netlinkAddress: OpaquePointer) {
    guard let octets = nl_addr_get_binary_addr(netlinkAddress) else { return nil }
    switch (nl_addr_get_family(netlinkAddress), nl_addr_get_len(netlinkAddress)) {
    case (AF_INET, 4):
      let value = UnsafeRawPointer(octets).loadUnaligned(as: UInt32.self)
      self = .v4(IPv4Address(rawValue: UInt32(bigEndian: value)))
    case (AF_INET6, 16):
      let halves = UnsafeRawPointer(octets)
      self = .v6(
        IPv6Address(
          high: UInt64(bigEndian: halves.loadUnaligned(as: UInt64.self)),
          low: UInt64(bigEndian: halves.loadUnaligned(fromByteOffset: 8, as: UInt64.self))))
    default: return nil
    }
  }
}

extension MACAddress {
  init?(netlinkAddress: OpaquePointer?) {
    guard let netlinkAddress, nl_addr_get_len(netlinkAddress) == 6,
      let octets = nl_addr_get_binary_addr(netlinkAddress)
    else { return nil }
    self.init(octets: UnsafeRawBufferPointer(start: octets, count: 6))
  }
}
