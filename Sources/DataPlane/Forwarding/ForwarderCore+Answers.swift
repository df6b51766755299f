// SPDX-License-Identifier: Apache-2.0

extension ForwarderCore {
  /// Drops a packet and tells its sender why, as often as allowed, in the packet's own frame.
  @inline(never)
  static func answer(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ answer: Answer
  ) {
    drop(core, batch, index, answer.reason)
    guard
      let packet = RefusedPacket(frame, batch.descriptors[index]),
      core.pointee.answers.take(now: batch.now), let frameBytes = packet.make(answer)
    else { return }
    core.pointee.counters.count(answer.kind)
    batch.verdicts[index] = .answer(answer, frameBytes: frameBytes)
  }

  /// Changes the TTL or hop limit of a packet that is about to be forwarded, by its service's
  /// policy.
  ///
  /// - Returns: false, the frame untouched, if the packet's time to live ends here.
  @inline(never)
  static func alterTimeToLive(
    _ batch: Batch, _ frame: UnsafeMutableRawPointer, _ index: Int,
    _ policy: ServicePolicy.TimeToLive
  ) -> Bool {
    let length = Int(truncatingIfNeeded: batch.descriptors[index].length)
    let bytes = UnsafeRawBufferPointer(start: frame, count: length).bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return true }
    return policy.apply(to: frame + offset, isIPv6: type == .ipv6)
  }
}
