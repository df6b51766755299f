// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Which real servers a destination has: what `lblc` and `lblcr` remember, of all workers together.
///
/// A destination is a service, which has one address. `lblc` keeps one real server of it, `lblcr` a
/// set; a `RealServerIndex` is one service's, so that membership stands by index and needs no room
/// of its own. All words may be written by any worker; two that choose at once both hold.
struct LocalityTable: BitwiseCopyable, @unchecked Sendable {
  private static let indices = Int(UInt16.max) + 1
  /// Two words per service, one per real server, and the count of changes of sets.
  static let byteCount = (3 * indices + 1) * MemoryLayout<UInt64>.stride
  /// `DEFAULT_EXPIRATION` of ip_vs_lblc.c and ip_vs_lblcr.c: 24 hours.
  static let expirationMilliseconds: Int32 = 24 * 60 * 60 * 1000
  /// Use is noted at most so often, lest the workers' connections fight for a line.
  private static let noteMilliseconds: Int32 = 1000

  private let words: UnsafeMutablePointer<UInt64>

  /// - Parameter base: `byteCount` octets, zeroed once.
  init(base: UnsafeMutableRawPointer) {
    words = base.assumingMemoryBound(to: UInt64.self)
  }

  @inline(__always) private func cell(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    UnsafeMutableRawPointer(words + index).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  /// Real server (bits 0…15), whether there is an entry (16), its last use (32…63).
  private func entry(_ service: UInt16) -> UnsafeMutablePointer<Atomic<UInt64>> {
    cell(2 * Int(service))
  }

  /// When the set was last changed (bits 0…31), and a number (32…63) that tells that change from
  /// others.
  private func change(_ service: UInt16) -> UnsafeMutablePointer<Atomic<UInt64>> {
    cell(2 * Int(service) + 1)
  }

  @inline(__always)
  private func membership(_ realServer: UInt16) -> UnsafeMutablePointer<Atomic<UInt64>> {
    cell(2 * Self.indices + Int(realServer))
  }

  // MARK: Entries

  /// The real server that was entered last for `service`, which is used now; nil where there is no
  /// entry, or one that nobody has used for the time of expiration.
  ///
  /// The kernel looks for such entries every half hour.
  func use(_ service: UInt16, now: Tick) -> UInt16? {
    let seen = entry(service).pointee.load(ordering: .relaxed)
    let age = now.milliseconds(since: Tick(rawValue: UInt32(truncatingIfNeeded: seen &>> 32)))
    // Below zero: not used for half the range of a tick, or used by a worker whose batch is later.
    guard seen != 0, age > -Self.noteMilliseconds, age < Self.expirationMilliseconds else {
      return nil
    }
    let realServer = UInt16(truncatingIfNeeded: seen)
    if age >= Self.noteMilliseconds {
      _ = entry(service).pointee.compareExchange(
        expected: seen, desired: Self.entry(realServer, now), ordering: .relaxed)
    }
    return realServer
  }

  func enter(_ realServer: UInt16, for service: UInt16, now: Tick) {
    entry(service).pointee.store(Self.entry(realServer, now), ordering: .relaxed)
  }

  private static func entry(_ realServer: UInt16, _ now: Tick) -> UInt64 {
    UInt64(now.rawValue) &<< 32 | 1 &<< 16 | UInt64(realServer)
  }

  // MARK: Sets

  /// A number that is greater the later the real server joined its service's set; 0 outside of it.
  @inline(__always) func joined(_ realServer: UInt16) -> UInt64 {
    membership(realServer).pointee.load(ordering: .relaxed)
  }

  /// A change of a set: what `change(of:)` was before it, and is after it.
  struct Change {
    let old: UInt64
    let new: UInt64
  }

  /// Another value after each change of the set of `service`, by whichever worker: what that did
  /// is seen by who has seen the value.
  func change(of service: UInt16) -> UInt64 {
    change(service).pointee.load(ordering: .acquiring)
  }

  /// `ip_vs_dest_set_insert`; nil where it is of the set already.
  func join(_ realServer: UInt16, of service: UInt16, now: Tick) -> Change? {
    guard joined(realServer) == 0 else { return nil }
    let number = nextNumber()
    membership(realServer).pointee.store(number, ordering: .relaxed)
    return noteChange(number, of: service, now: now)
  }

  /// `ip_vs_dest_set_erase`.
  func leave(_ realServer: UInt16, of service: UInt16, now: Tick) -> Change {
    leave(realServer)
    return noteChange(nextNumber(), of: service, now: now)
  }

  private func nextNumber() -> UInt64 {
    cell(3 * Self.indices).pointee.wrappingAdd(1, ordering: .relaxed).newValue
  }

  private func noteChange(_ number: UInt64, of service: UInt16, now: Tick) -> Change {
    let new = number &<< 32 | UInt64(now.rawValue)
    let old = change(service).pointee.exchange(new, ordering: .acquiringAndReleasing)
    return Change(old: old, new: new)
  }

  func leave(_ realServer: UInt16) {
    if joined(realServer) != 0 { membership(realServer).pointee.store(0, ordering: .relaxed) }
  }

  /// Whether the set has stayed as it is for the time of expiration.
  func isSettled(_ service: UInt16, now: Tick) -> Bool {
    let last = change(service).pointee.load(ordering: .relaxed)
    return now.milliseconds(since: Tick(rawValue: UInt32(truncatingIfNeeded: last)))
      > Self.expirationMilliseconds
  }

  /// Forgets services that are new or have another scheduler, and real servers whose indices are
  /// to be given out again.
  func follow(from old: SnapshotContent, to new: SnapshotContent) {
    for realServer in 0..<new.realServerCount
    where new.nextHops[realServer].status == .retired {
      leave(UInt16(realServer))
    }
    for service in 0..<new.serviceCount {
      let entry = entry(UInt16(service))
      let seen = entry.pointee.load(ordering: .relaxed)
      guard seen != 0 else { continue }
      let isSame =
        service < old.serviceCount && old.services[service].isInService
        && old.services[service].scheduler == new.services[service].scheduler
      let realServer = Int(UInt16(truncatingIfNeeded: seen))
      let isRetired =
        realServer < new.realServerCount && new.nextHops[realServer].status == .retired
      if !isSame || isRetired { entry.pointee.store(0, ordering: .relaxed) }
    }
  }
}

/// The memory of a `LocalityTable`: all workers of a director share one. It lives as long as
/// somebody holds it.
public final class Localities: Sendable {
  private let memory: SharedMemory
  let table: LocalityTable

  public init() throws(SharedMemoryError) {
    memory = try SharedMemory(byteCount: LocalityTable.byteCount, name: "martinet-localities")
    table = LocalityTable(base: memory.base)
  }
}
