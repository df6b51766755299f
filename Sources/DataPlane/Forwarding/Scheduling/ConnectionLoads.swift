// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How many connections each real server has, of all workers together, and which real servers
/// this worker holds for overloaded.
///
/// A worker writes its own words only, and only where connections come, go or change between
/// active and inactive: what the others read of it is warm while packets of live connections are
/// forwarded. A word is the active connections (bits 0…31) and the inactive ones (32…63): of all
/// workers together up to 2³² - 1 each, which are tables of 64 GiB.
struct ConnectionLoads: BitwiseCopyable {
  /// More than an interface can have queues (`DIRECTOR_MAX_QUEUES`).
  static let peerLimit = 256

  /// By `RealServerIndex`, 65 536 of them.
  let own: UnsafeMutablePointer<UInt64>
  /// The other workers' `own`; `peerLimit` of them.
  let peers: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>
  var peerCount = 0
  /// By `RealServerIndex`: the upper threshold that overload was found by, 0 where it was not.
  let overloads: UnsafeMutablePointer<UInt32>
  /// What this worker's schedulers know of long lists.
  let standings: StandingNodes

  /// Adds to a real server's connections of this worker, which nobody else may write.
  @inline(__always)
  func add(_ change: UInt64, to realServer: UInt16, in content: UnsafePointer<SnapshotContent>) {
    own[Int(realServer)] &+= change
    guard
      _slowPath(content.pointee.nodeCount > StandingNodes.reserved),
      Int(realServer) < content.pointee.realServerCount
    else { return }
    standings.note(content.pointee.placements[Int(realServer)].leaf)
  }

  @inline(__always)
  private static func load(_ word: UnsafeMutablePointer<UInt64>) -> UInt64 {
    UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt64>.self).pointee
      .load(ordering: .relaxed)
  }

  /// Both counts of one real server in one word.
  @inline(__always) func word(_ realServer: UInt16) -> UInt64 {
    var word = own[Int(realServer)]
    for peer in 0..<peerCount { word &+= Self.load(peers[peer] + Int(realServer)) }
    return word
  }

  /// One connection in such a word.
  static func unit(of state: UInt8) -> UInt64 {
    ConnectionState.isActive(rawValue: state) ? 1 : 1 << 32
  }

  @inline(__always) static func active(_ word: UInt64) -> UInt64 { word & 0xffff_ffff }
  @inline(__always) static func inactive(_ word: UInt64) -> UInt64 { word &>> 32 }

  /// `ip_vs_dest_totalconns`.
  private func total(_ realServer: UInt16) -> UInt64 {
    let word = word(realServer)
    return Self.active(word) &+ Self.inactive(word)
  }

  /// `IP_VS_DEST_F_OVERLOAD`, brought up to date: it begins at the upper threshold and ends below
  /// the lower one, or below three quarters of the upper one where there is no lower
  /// (`ip_vs_unbind_dest`), or when the upper one is raised or lifted (`__ip_vs_update_dest`).
  ///
  /// The kernel looks when a connection is bound or released; here the decisions after that look,
  /// since the connections may be another worker's.
  func isOverloaded(_ realServer: UInt16, _ thresholds: Thresholds) -> Bool {
    let mark = overloads + Int(realServer)
    if mark.pointee < thresholds.upper { mark.pointee = 0 }
    let total = total(realServer)
    let begins = total >= UInt64(thresholds.upper)
    let lasts =
      mark.pointee != 0
      && (thresholds.lower != 0
        ? total >= UInt64(thresholds.lower) : total &* 4 >= UInt64(thresholds.upper) &* 3)
    mark.pointee = begins || lasts ? thresholds.upper : 0
    return begins || lasts
  }
}

/// `ipvsadm -x` and `-y`; an upper threshold of 0 is none.
struct Thresholds: BitwiseCopyable {
  var upper: UInt32
  var lower: UInt32
}
