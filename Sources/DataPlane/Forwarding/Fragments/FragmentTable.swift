// SPDX-License-Identifier: Apache-2.0

/// What all fragments of one datagram have in common: RFC 791 §2.3, RFC 8200 §4.5. IPv4 addresses
/// fill the low half of the low words.
struct FragmentKey: BitwiseCopyable {
  var sourceHigh: UInt64 = 0
  var sourceLow: UInt64
  var destinationHigh: UInt64 = 0
  var destinationLow: UInt64
  /// Identification (bits 0…31), protocol (32…39), IP version (40…47); zero in a vacant note.
  var datagram: UInt64

  init(ipv4 source: UInt32, _ destination: UInt32, _ fragment: FragmentFields) {
    sourceLow = UInt64(source)
    destinationLow = UInt64(destination)
    datagram = Self.datagram(fragment, version: 4)
  }

  init(ipv6 addresses: IPv6Pair, _ fragment: FragmentFields) {
    sourceHigh = addresses.sourceHigh
    sourceLow = addresses.sourceLow
    destinationHigh = addresses.destinationHigh
    destinationLow = addresses.destinationLow
    datagram = Self.datagram(fragment, version: 6)
  }

  /// Written out, because the compiler makes a call to memcmp of a chain of comparisons.
  static func == (left: FragmentKey, right: FragmentKey) -> Bool {
    (left.sourceHigh ^ right.sourceHigh) | (left.sourceLow ^ right.sourceLow)
      | (left.destinationHigh ^ right.destinationHigh)
      | (left.destinationLow ^ right.destinationLow) | (left.datagram ^ right.datagram) == 0
  }

  private static func datagram(_ fragment: FragmentFields, version: UInt64) -> UInt64 {
    version &<< 40 | UInt64(fragment.ipProtocol) &<< 32 | UInt64(fragment.identification)
  }
}

/// Where a datagram's first fragment went and until when that is remembered, 48 octets.
struct FragmentNote: BitwiseCopyable {
  var key: FragmentKey
  var meta: ConnectionMeta
}

/// Notes on first fragments, so that later ones can follow: sets of four, in memory that never
/// grows. A full set forgets what expires first, so a flood costs notes and nothing else.
///
/// One worker writes, any may read: a note read while it changes costs a datagram, as one that was
/// forgotten does.
struct FragmentTable: BitwiseCopyable {
  /// Datagrams under way to one worker within the time; 192 KiB.
  static let noteCount = 4096
  private static let notesPerSet = 4
  /// `net.ipv4.ipfrag_time`, IP_FRAG_TIME of the kernel's include/net/ip.h: a real server has
  /// given the datagram up by then.
  private static let milliseconds: UInt32 = 30_000

  let notes: UnsafeMutablePointer<FragmentNote>

  private func set(_ key: FragmentKey, _ hashKey: HashKey) -> UnsafeMutablePointer<FragmentNote> {
    let source = hashKey.hash(key.sourceHigh, key.sourceLow, key.datagram)
    let hash = hashKey.hash(key.destinationHigh, key.destinationLow, source)
    let sets = UInt64(Self.noteCount / Self.notesPerSet)
    return notes + Int(truncatingIfNeeded: hash & (sets &- 1)) &* Self.notesPerSet
  }

  /// The real server that the datagram's first fragment went to. Any thread may ask.
  func find(_ key: FragmentKey, _ hashKey: HashKey, now: Tick) -> UInt16? {
    let set = set(key, hashKey)
    for place in 0..<Self.notesPerSet {
      guard let meta = Self.read(set + place, key) else { continue }
      return meta.isExpired(at: now) ? nil : meta.realServer
    }
    return nil
  }

  /// What a note says, if it is `key`'s before and after.
  private static func read(
    _ note: UnsafeMutablePointer<FragmentNote>, _ key: FragmentKey
  ) -> ConnectionMeta? {
    let words = UnsafeMutableRawPointer(note).assumingMemoryBound(to: UInt64.self)
    guard isSeen(key, words) else { return nil }
    let meta = sharedLoad(words + 5)
    return isSeen(key, words) ? ConnectionMeta(rawValue: meta) : nil
  }

  private static func isSeen(_ key: FragmentKey, _ words: UnsafeMutablePointer<UInt64>) -> Bool {
    sharedLoad(words) == key.sourceHigh && sharedLoad(words + 1) == key.sourceLow
      && sharedLoad(words + 2) == key.destinationHigh
      && sharedLoad(words + 3) == key.destinationLow && sharedLoad(words + 4) == key.datagram
  }

  /// Remembers a first fragment; true if that took the place of a datagram that had time left.
  func remember(
    _ key: FragmentKey, realServer: UInt16, _ hashKey: HashKey, now: Tick
  ) -> Bool {
    let set = set(key, hashKey)
    var (chosen, least) = (0, Int32.max)
    for place in 0..<Self.notesPerSet {
      if set[place].key == key {
        (chosen, least) = (place, 0)
        break
      }
      let isVacant = set[place].key.datagram == 0
      let left = isVacant ? 0 : max(0, set[place].meta.expiry.milliseconds(since: now))
      if left < least { (chosen, least) = (place, left) }
    }
    set[chosen] = FragmentNote(
      key: key,
      meta: ConnectionMeta(
        realServer: realServer, state: ConnectionState.none.rawValue,
        expiry: now.advanced(byMilliseconds: Self.milliseconds)))
    return least > 0
  }
}
