// SPDX-License-Identifier: Apache-2.0
import Testing

/// A scheduler with its flags, as ipvsadm names them.
struct Variant: CustomTestStringConvertible {
  var scheduler: String
  var flags = ""

  static let all =
    TwoDirectors.kernelSchedulers.map { Variant(scheduler: $0) }
    + [
      Variant(scheduler: "sh", flags: "sh-port"),
      Variant(scheduler: "sh", flags: "sh-fallback"),
      Variant(scheduler: "sh", flags: "sh-fallback,sh-port"),
      Variant(scheduler: "mh", flags: "mh-port"),
      Variant(scheduler: "mh", flags: "mh-fallback"),
      Variant(scheduler: "mh", flags: "mh-fallback,mh-port"),
    ]

  var arguments: String { "-s \(scheduler)" + (flags.isEmpty ? "" : " -b \(flags)") }
  var testDescription: String { arguments }

  /// Whether a new connection can be refused although a real server takes connections.
  var mayRefuse: Bool {
    ["dh", "sh", "mh"].contains(scheduler) && !flags.contains("fallback")
  }
}

/// What the kernel does with records that Martinet schedules anew.
enum KernelManners: CaseIterable {
  /// Told to let them go (`conn_reuse_mode`, `expire_nodest_conn`), so that after a deviation both
  /// are in the same state again.
  case adapted
  /// As a kernel starts; nothing is sent that shows a deviation.
  case original

  var settings: [String: Int] {
    self == .adapted ? ["conn_reuse_mode": 3, "expire_nodest_conn": 1] : [:]
  }
}
