// SPDX-License-Identifier: Apache-2.0

/// The schedulers, by ipvsadm's names; each but `maglev` follows the kernel's `ip_vs_NAME.c`.
public enum Scheduler: String, CaseIterable, Sendable, BitwiseCopyable {
  /// Round robin; weighted and interleaved.
  case rr, wrr
  /// Least connections; by weight.
  case lc, wlc
  /// A destination keeps its real server; or a set of them, which grows under load.
  case lblc, lblcr
  /// Tables by destination (one virtual address has one real server) and by client address.
  case dh, sh
  /// Shortest expected delay; an idle real server at once, else as `sed`.
  case sed, nq
  /// The heaviest; the heaviest with no more active connections than its weight.
  case fo, ovf
  /// Maglev's table by client address, the same as the kernel's.
  case mh
  /// The less loaded of two drawn by weight.
  case twos
  /// Not the kernel's: Maglev's table by client address and port, with bounded load.
  case maglev
}

/// `ipvsadm -b`: `IP_VS_SVC_F_SCHED1`…`3`. What they mean is the scheduler's to say.
public struct SchedulerFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// `sh-fallback`, `mh-fallback`: another real server where the table's is unavailable.
  public static let fallback = SchedulerFlags(rawValue: 1)
  /// `sh-port`, `mh-port`: the client's port counts too.
  public static let port = SchedulerFlags(rawValue: 2)
  /// Known to ipvsadm, without meaning to any scheduler.
  public static let third = SchedulerFlags(rawValue: 4)
}
