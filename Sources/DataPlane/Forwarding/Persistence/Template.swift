// SPDX-License-Identifier: Apache-2.0

/// The second word of a template: the real server a client has, and until when.
///
/// 64 bits: real server index (bits 0…15), tag (16…30), assured (31), expiry tick (32…63). The tag
/// is a part of the identity that the template was written for: a value whose tag is another's
/// says nothing.
struct Template: BitwiseCopyable, Equatable {
  var rawValue: UInt64

  @inline(__always) init(rawValue: UInt64) { self.rawValue = rawValue }

  init(realServer: UInt16, identity: UInt64, expiry: Tick) {
    rawValue = UInt64(realServer) | Self.tag(identity) | UInt64(expiry.rawValue) &<< 32
  }

  private static let assuredBit: UInt64 = 1 << 31
  private static let tagMask: UInt64 = 0x7fff_0000

  private static func tag(_ identity: UInt64) -> UInt64 { identity &>> 33 & tagMask }

  var realServer: UInt16 { UInt16(truncatingIfNeeded: rawValue) }
  var expiry: Tick { Tick(rawValue: UInt32(truncatingIfNeeded: rawValue &>> 32)) }
  /// `IP_VS_CTPL_S_ASSURED`: a connection of it was established once.
  var isAssured: Bool { rawValue & Self.assuredBit != 0 }
  var assured: Template { Template(rawValue: rawValue | Self.assuredBit) }

  func until(_ expiry: Tick) -> Template {
    Template(rawValue: rawValue & 0xffff_ffff | UInt64(expiry.rawValue) &<< 32)
  }

  /// Whether it holds for `identity` now.
  func isLive(_ identity: UInt64, at now: Tick) -> Bool {
    rawValue != 0 && rawValue & Self.tagMask == Self.tag(identity)
      && expiry.milliseconds(since: now) > 0
  }
}
