// SPDX-License-Identifier: Apache-2.0
import CXDP
import Glibc

/// A program's attachment to an interface. The kernel takes it off when the owner goes out of
/// scope or the process ends in whatever way.
struct ProgramLink: ~Copyable {
  private var fileDescriptor: Int32 = -1

  deinit { if fileDescriptor >= 0 { close(fileDescriptor) } }

  mutating func attach(
    _ program: borrowing DirectorProgram, to interface: InterfaceDescription
  ) throws(PortError) {
    guard fileDescriptor < 0 else { return }
    var options = bpf_link_create_opts()
    options.sz = MemoryLayout<bpf_link_create_opts>.size
    // Forced, or the kernel chooses by itself what the driver can do.
    options.flags = UInt32(
      interface.xdpMode == .native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE)
    let status = bpf_link_create(
      program.fileDescriptor, Int32(interface.index), BPF_XDP, &options)
    guard status >= 0 else { throw Self.error(-status, interface) }
    fileDescriptor = status
  }

  mutating func detach() {
    if fileDescriptor >= 0 { close(fileDescriptor) }
    fileDescriptor = -1
  }

  private static func error(_ code: Int32, _ interface: InterfaceDescription) -> PortError {
    let name = interface.name
    switch code {
    case EBUSY, EEXIST:
      return .programAttached(name)
    case EOPNOTSUPP where interface.xdpMode == .native:
      return PortError(
        .unsupported,
        "the driver of \(name) runs no XDP program natively; use --xdp-mode generic")
    case ERANGE, ENOSPC, EINVAL:
      return PortError(
        .unsupported,
        "the driver of \(name) refuses XDP as it is set up (\(PortError.sentence(code))): lower "
          + "the MTU of \(name) (of a veth: of its peer), give it no fewer RX queues than the peer "
          + "has TX queues, turn LRO off, or use --xdp-mode generic")
    case ENODEV:
      return PortError(.noSuchInterface, "the interface \(name) has gone")
    default:
      return .system("attaching the eBPF program to \(name)", code)
    }
  }
}

extension PortError {
  static func programAttached(_ name: String) -> PortError {
    PortError(
      .busy,
      "an XDP program is attached to \(name) already, perhaps by another martinet; stop its owner, "
        + "or `ip link set \(name) xdp off`")
  }
}
