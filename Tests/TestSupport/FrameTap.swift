// SPDX-License-Identifier: Apache-2.0
import CTestSupport
import Glibc

/// A packet socket on one interface: sends frames as they are and reads what passes, both ways
/// (packet(7)).
public final class FrameTap: Sendable {
  /// A frame seen at the interface.
  public struct Frame: Equatable, Sendable {
    public var octets: [UInt8]
    /// Whether the interface's own host sent it, as opposed to received it.
    public var isOutgoing: Bool
    public init(octets: [UInt8], isOutgoing: Bool) {
      self.octets = octets
      self.isOutgoing = isOutgoing
    }
  }

  private let descriptor: Int32

  public init(_ interface: String, in namespace: NetworkNamespace) throws {
    descriptor = try namespace.perform {
      let descriptor = test_packet_socket(interface)
      guard descriptor >= 0 else {
        throw SystemError(call: "packet socket on \(interface)", errno: errno)
      }
      return descriptor
    }
  }

  deinit { close(descriptor) }

  public func send(_ frame: [UInt8]) throws(SystemError) {
    guard Glibc.send(descriptor, frame, frame.count, 0) == frame.count else {
      throw SystemError(call: "send(\(frame.count) octets)", errno: errno)
    }
  }

  /// The next frame that `condition` accepts, within `seconds`; nil when there is none.
  public func next(seconds: Double = 5, where condition: (Frame) -> Bool) -> Frame? {
    let deadline = monotonicSeconds() + seconds
    while true {
      let left = deadline - monotonicSeconds()
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, max(0, Int32(left * 1000))) > 0 else {
        if left <= 0 { return nil }
        continue
      }
      if let frame = receive(), condition(frame) { return frame }
    }
  }

  /// Every frame that `condition` accepts until none has come for `quietSeconds`.
  public func all(quietSeconds: Double = 0.3, where condition: (Frame) -> Bool) -> [Frame] {
    var frames: [Frame] = []
    while let frame = next(seconds: quietSeconds, where: { _ in true }) {
      if condition(frame) { frames.append(frame) }
    }
    return frames
  }

  private func receive() -> Frame? {
    var octets = [UInt8](repeating: 0, count: 65536)
    var info = test_frame_info()
    let count = test_receive(descriptor, &octets, octets.count, &info)
    guard count > 0 else { return nil }
    octets.removeLast(octets.count - count)
    if info.has_tag && count >= 12 {
      octets.insert(contentsOf: bigEndian(info.tag_type) + bigEndian(info.tag_control), at: 12)
    }
    return Frame(octets: octets, isOutgoing: info.is_outgoing)
  }
}
