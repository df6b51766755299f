// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension SchedulerFlags {
  /// ipvsadm's own names, for schedulers that have none for a flag.
  private static let general: [(name: String, flag: SchedulerFlags)] = [
    ("flag-1", .fallback), ("flag-2", .port), ("flag-3", .third),
  ]

  /// The schedulers with names of their own.
  private static let named: [(name: String, scheduler: Scheduler, flag: SchedulerFlags)] = [
    ("sh-fallback", .sh, .fallback), ("sh-port", .sh, .port), ("mh-fallback", .mh, .fallback),
    ("mh-port", .mh, .port),
  ]

  /// The argument of `-b`: names with commas between; nil where it names none.
  init?(ipvsadm names: String, for scheduler: String) throws(UsageError) {
    self = []
    for name in names.split(separator: ",") {
      if let flag = Self.general.first(where: { $0.name == name })?.flag {
        insert(flag)
      } else if let named = Self.named.first(where: { $0.name == name }) {
        guard named.scheduler.rawValue == scheduler else {
          throw UsageError("incompatible scheduler flag `\(name)'")
        }
        insert(named.flag)
      } else {
        throw UsageError("invalid scheduler flag `\(name)'")
      }
    }
    if isEmpty { return nil }
  }

  /// As `-L` and `-S` show them, empty where there are none: `sh` and `mh` have two.
  func ipvsadmNames(for scheduler: Scheduler) -> String {
    let named = Self.named.filter { $0.scheduler == scheduler && contains($0.flag) }.map(\.name)
    let general = Self.general.filter { contains($0.flag) }.map(\.name)
    return (scheduler == .sh || scheduler == .mh ? named : general).joined(separator: ",")
  }
}
