// SPDX-License-Identifier: Apache-2.0

extension ForwarderCore {
  /// No real server takes the packet: its sender is told so (`ip_vs_leave` in the kernel's
  /// ip_vs_core.c), as often as allowed, in the packet's own frame.
  @inline(never)
  static func leave(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer
  ) {
    drop(core, batch, index, .noRealServer)
    let descriptor = batch.descriptors[index]
    let bytes = UnsafeRawBufferPointer(
      start: frame, count: Int(truncatingIfNeeded: descriptor.length)
    ).bytes
    guard
      let (offset, type) = PacketParser.networkHeader(bytes),
      core.pointee.answers.take(now: batch.now),
      let answerBytes = PortUnreachable.make(
        bytes, frame, address: descriptor.address, at: offset, isIPv6: type == .ipv6)
    else { return }
    core.pointee.counters.count(.portUnreachable)
    batch.verdicts[index] = .answer(frameBytes: answerBytes)
  }
}
