// SPDX-License-Identifier: Apache-2.0

extension ForwarderCore {
  /// Drops a packet and tells its sender why, as often as allowed, in the packet's own frame.
  ///
  /// - Parameter mtu: of `.packetTooBig`, what its sender is told.
  @inline(never)
  static func answer(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int,
    _ frame: UnsafeMutableRawPointer, _ answer: Answer, mtu: UInt16 = 0
  ) {
    drop(core, batch, index, answer.reason)
    guard
      let packet = RefusedPacket(frame, batch.descriptors[index]),
      core.pointee.answers.take(now: batch.now),
      let frameBytes = packet.make(answer, mtu: mtu)
    else { return }
    core.pointee.counters.count(answer.kind)
    batch.verdicts[index] = .answer(answer, frameBytes: frameBytes)
  }

  /// What the next hop asks of a packet besides new addresses: its TTL or hop limit is changed by
  /// its service's policy, and then it must fit its egress, in the order of the kernel's
  /// `__ip_vs_get_out_rt` (ip_vs_xmit.c). Where a router fragments, the director drops.
  ///
  /// - Returns: false if the packet is not forwarded; its verdict is given then.
  @inline(never)
  static func prepare(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ nextHop: NextHop,
    _ frame: UnsafeMutableRawPointer, index: Int, ipBytes: UInt16
  ) -> Bool {
    let bytes = batch.frame(index).bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return true }
    if nextHop.timeToLive != .preserve,
      !nextHop.timeToLive.apply(to: frame + offset, isIPv6: type == .ipv6)
    {
      answer(core, batch, index, frame, .timeExceeded)
      return false
    }
    let limit = core.pointee.content.pointee.egressLimits[Int(nextHop.egress)]
    if ipBytes <= limit { return true }
    if type == .ipv4, bytes.uint16(at: offset + 6) & 0x4000 == 0 {
      drop(core, batch, index, .notFragmented)
    } else {
      answer(core, batch, index, frame, .packetTooBig, mtu: limit)
    }
    return false
  }
}
