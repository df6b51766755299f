// SPDX-License-Identifier: Apache-2.0
import CXDP
import TestSupport

@testable import DataPlane

/// The program with the site's services, and a real socket behind queue 0 so that a redirect has
/// somewhere to go.
final class ProgramFixture: @unchecked Sendable {
  static let shared = Result { try ProgramFixture(socket: true) }

  var program: DirectorProgram
  private let wire: TestSupport.Wire?
  private let socket: QueueSocketBox?

  init(socket wantsSocket: Bool) throws {
    program = try DirectorProgram(macAddress: .director)
    for ports in [VirtualPorts.web, .webIPv6, .dns, .signalling, .signallingIPv6] {
      try program.open(ports)
    }
    guard wantsSocket else {
      (wire, socket) = (nil, nil)
      return
    }
    let wire = try TestSupport.Wire()
    let box = try wire.director.namespace.perform { try QueueSocketBox("lan0") }
    try program.setSocket(box.socket.fileDescriptor, queue: 0)
    (self.wire, socket) = (wire, box)
  }

  func open(_ ports: VirtualPorts) throws { try program.open(ports) }
  func close(_ ports: VirtualPorts) throws { try program.close(ports) }
  func setMACAddress(_ address: MACAddress) throws { try program.setMACAddress(address) }

  /// What the program returns for a frame on queue 0.
  func run(_ frame: [UInt8]) throws -> xdp_action {
    var options = bpf_test_run_opts()
    options.sz = MemoryLayout<bpf_test_run_opts>.size
    options.repeat = 1
    let status = frame.withUnsafeBytes { bytes in
      options.data_in = bytes.baseAddress
      options.data_size_in = UInt32(bytes.count)
      return bpf_prog_test_run_opts(program.fileDescriptor, &options)
    }
    guard status == 0 else { throw Failure("BPF_PROG_TEST_RUN: errno \(-status)") }
    return xdp_action(options.retval)
  }
}

/// A socket that can be kept in a class.
private final class QueueSocketBox {
  // First, so that it goes first.
  let socket: QueueSocket
  private let frames: SharedMemory

  init(_ interface: String) throws {
    let frames = try SharedMemory(byteCount: 4096 * 2048, name: "frames")
    socket = try QueueSocket(
      QueueBinding(
        interface: interface, queue: 0, isZeroCopy: false, depth: .zeroCopy, chunkBytes: 2048,
        frames: frames.base, frameBytes: UInt64(frames.byteCount)))
    self.frames = frames
  }
}
