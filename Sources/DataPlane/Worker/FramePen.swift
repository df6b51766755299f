// SPDX-License-Identifier: Apache-2.0

/// Frames that wait for another one to decide them, in the order in which they came: later
/// fragments whose first one is still to come. Its memory never grows; the worker owns the frames.
struct FramePen: ~Copyable {
  /// The greatest datagram is 45 fragments where the MTU is 1500 (RFC 791 §3.2), so that one fits
  /// that is sent from its end. All of them are asked about in one batch.
  private static let greatestCapacity = Forwarder.batchLimit
  /// Of the UMEM's frames: a full pen must not show in what a burst finds in the fill ring.
  private static let greatestShare = 16
  /// Ways of one path differ by milliseconds; a sender repeats a lost segment after a second
  /// (RFC 6298 §2.1), in another datagram.
  static let milliseconds: Int32 = 1000

  private(set) var count = 0
  /// The first `count` are held.
  let descriptors: UnsafeMutablePointer<FrameDescriptor>
  /// When each was put here.
  private let arrivals: UnsafeMutablePointer<Tick>
  let capacity: Int
  private var knownFirstFragments: UInt64 = 0
  private var lastReview = Tick(rawValue: 0)

  /// - Parameter frameCount: of the UMEM.
  init(frameCount: Int) {
    capacity = max(1, min(Self.greatestCapacity, frameCount / Self.greatestShare))
    descriptors = .allocate(capacity: capacity)
    arrivals = .allocate(capacity: capacity)
  }

  deinit {
    descriptors.deallocate()
    arrivals.deallocate()
  }

  var isFull: Bool { count == capacity }

  /// Adds a frame; the pen must not be full.
  mutating func admit(_ descriptor: FrameDescriptor, now: Tick) {
    descriptors[count] = descriptor
    arrivals[count] = now
    count &+= 1
  }

  /// How many of the first frames have waited for their whole time.
  func overdue(at now: Tick) -> Int {
    var overdue = 0
    while overdue < count, now.milliseconds(since: arrivals[overdue]) >= Self.milliseconds {
      overdue &+= 1
    }
    return overdue
  }

  /// Whether asking again may help: a first fragment came to this worker since the last time, or a
  /// millisecond is over, in which one may have come to another.
  mutating func isDue(firstFragments: UInt64, now: Tick) -> Bool {
    guard firstFragments != knownFirstFragments || now != lastReview else { return false }
    knownFirstFragments = firstFragments
    lastReview = now
    return true
  }

  mutating func removeFirst(_ removed: Int) {
    for place in removed..<count { move(place, to: place &- removed) }
    shorten(to: count &- removed)
  }

  /// Copies a frame to an earlier place.
  mutating func move(_ place: Int, to earlier: Int) {
    descriptors[earlier] = descriptors[place]
    arrivals[earlier] = arrivals[place]
  }

  mutating func shorten(to newCount: Int) { count = newCount }
}
