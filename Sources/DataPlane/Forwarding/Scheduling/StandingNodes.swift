// SPDX-License-Identifier: Apache-2.0

/// One worker's standings of long lists, so that a decision reads a few real servers, not all: a
/// tree per service, whose lowest nodes stand for sixteen of its real servers each, and each other
/// node for sixteen nodes below it.
///
/// A node is stale from when a connection comes, goes or changes among its real servers to the next
/// decision that asks the root. Zeroed once; everything is stale then.
struct StandingNodes: BitwiseCopyable {
  /// 2⁴ make a node: a decision after one change reads 16 real servers and, of 1000, 20 nodes.
  /// With 2⁵ it would be 64 and one level less.
  static let bitsPerLevel = 4
  /// A list up to here has no tree: reading all of it takes some 100 ns, as a tree does.
  static let longestPlainList = 64
  /// Node 0, which stands for nothing and is always stale.
  static let reserved = 1
  /// That one and the trees: none has more nodes per real server than the 6 for 65 of the shortest,
  /// and there are 65 535 real servers.
  static let limit = reserved + 65_535 * 6 / 65

  /// `limit` of them.
  let nodes: UnsafeMutablePointer<Node>

  /// 32 octets.
  struct Node: BitwiseCopyable {
    var standing: Standing
    /// The node above, the node itself where it is the root; 0 while it is stale.
    var parent: UInt16
    /// Of a root: the position from which other workers' counts are read anew.
    var turn: UInt16

    @inline(__always) var isStale: Bool { parent == 0 }
  }

  /// Tells `leaf` and all above it that something has changed. What is above a stale node is
  /// stale already.
  @inline(__always) func note(_ leaf: UInt16) {
    var node = Int(leaf)
    while !nodes[node].isStale {
      let parent = Int(nodes[node].parent)
      nodes[node].parent = 0
      node = parent
    }
  }

  /// Makes `range` stale: whole trees.
  func forget(_ range: Range<Int>) {
    for node in range { nodes[node].parent = 0 }
  }
}

/// One level of a tree. Levels lie one behind the other from the root down.
struct StandingLevel: BitwiseCopyable {
  let memberCount: Int
  /// The first node.
  let first: Int
  /// 2 to this power real servers make a node.
  let bits: Int

  /// The root of the tree of so many real servers.
  init(root: Int, memberCount: Int) {
    var bits = StandingNodes.bitsPerLevel
    while memberCount > 1 &<< bits { bits &+= StandingNodes.bitsPerLevel }
    self.init(memberCount: memberCount, first: root, bits: bits)
  }

  private init(memberCount: Int, first: Int, bits: Int) {
    self.memberCount = memberCount
    self.first = first
    self.bits = bits
  }

  var count: Int { (memberCount &- 1) &>> bits &+ 1 }
  var isLowest: Bool { bits == StandingNodes.bitsPerLevel }

  var below: StandingLevel {
    StandingLevel(
      memberCount: memberCount, first: first &+ count, bits: bits &- StandingNodes.bitsPerLevel)
  }

  var lowest: StandingLevel {
    var level = self
    while !level.isLowest { level = level.below }
    return level
  }

  /// What the node at `place` of this level is made of: places one level below, or positions.
  func parts(of place: Int) -> Range<Int> {
    let start = place &<< StandingNodes.bitsPerLevel
    let end = isLowest ? memberCount : below.count
    return start..<min(start &+ 1 &<< StandingNodes.bitsPerLevel, end)
  }

  /// How many nodes the tree of so many real servers has; none where a plain list is short enough.
  static func nodeCount(_ memberCount: Int) -> Int {
    guard memberCount > StandingNodes.longestPlainList else { return 0 }
    let lowest = StandingLevel(root: 0, memberCount: memberCount).lowest
    return lowest.first + lowest.count
  }
}

extension Decision {
  /// So many nodes' real servers are read anew by each decision where there are other workers.
  private static let turnsPerDecision = 2

  private var root: StandingLevel {
    StandingLevel(root: Int(service.firstNode), memberCount: Int(service.memberCount))
  }

  /// The root's, after what is stale has been read.
  ///
  /// Other workers' connections come unnoticed: each decision reads them anew around its last
  /// choice and of 32 further real servers in turn, so that of 1000 no count is older than 32
  /// decisions.
  @inline(never) func standingByTree() -> Standing {
    let root = root
    let node = loads.standings.nodes + root.first
    if loads.peerCount > 0 { takeTurn(node) }
    if node.pointee.isStale { refresh(0, of: root, parent: root.first) }
    return node.pointee.standing
  }

  private func takeTurn(_ root: UnsafeMutablePointer<StandingNodes.Node>) {
    guard !root.pointee.isStale else { return }
    if root.pointee.standing.weight > 0 { note(Int(root.pointee.standing.position)) }
    for _ in 0..<Self.turnsPerDecision {
      let position = Int(root.pointee.turn)
      let next = position &+ 1 &<< StandingNodes.bitsPerLevel
      root.pointee.turn = next < positions.upperBound ? UInt16(truncatingIfNeeded: next) : 0
      if position < positions.upperBound { note(position) }
    }
  }

  /// Tells that what the real server there stands for has changed.
  func note(_ position: Int) {
    loads.standings.note(content.pointee.placements[Int(members[position].realServer)].leaf)
  }

  /// Makes the service's whole tree stale.
  func forgetStandings() {
    let first = Int(service.firstNode)
    guard first > 0 else { return }
    loads.standings.forget(first..<first &+ StandingLevel.nodeCount(Int(service.memberCount)))
  }

  /// Four levels deep at most.
  private func refresh(_ place: Int, of level: StandingLevel, parent: Int) {
    let nodes = loads.standings.nodes
    let node = level.first &+ place
    var standing = Standing()
    if level.isLowest {
      standing = self.standing(of: level.parts(of: place))
    } else {
      let below = level.below
      for part in level.parts(of: place) {
        let lower = below.first &+ part
        if _slowPath(nodes[lower].isStale) { refresh(part, of: below, parent: node) }
        admit(nodes[lower].standing, to: &standing)
      }
    }
    nodes[node].standing = standing
    nodes[node].parent = UInt16(truncatingIfNeeded: parent)
  }

  /// Where the weights of those that accept, added up in order, reach `lot`; nil where the sum is
  /// less. After `standing`.
  func position(ofLot lot: UInt64) -> Int? {
    var lot = lot
    var stretch = positions
    if service.firstNode != 0 {
      var (level, place) = (root, 0)
      while !level.isLowest {
        let (parts, below) = (level.parts(of: place), level.below)
        for part in parts {
          let weight = loads.standings.nodes[below.first &+ part].standing.acceptingWeight
          guard weight > 0 else { continue }
          place = part
          if lot <= weight { break }
          lot &-= weight
        }
        level = below
      }
      stretch = level.parts(of: place)
    }
    for position in stretch where accepts(position) {
      let weight = UInt64(members[position].weight)
      if lot <= weight { return position }
      lot &-= weight
    }
    return nil
  }

  /// Where the first lowest node begins that has somebody of this weight, from position `start` on,
  /// where one begins; nil where there is none.
  func leaf(from start: Int, weighing weight: UInt32) -> Int? {
    guard standing.weight >= weight else { return nil }
    return leaf(from: start, weighing: weight, in: 0, of: root)
  }

  private func leaf(
    from start: Int, weighing weight: UInt32, in place: Int, of level: StandingLevel
  ) -> Int? {
    guard !level.isLowest else { return place &<< level.bits }
    let below = level.below
    for part in level.parts(of: place) where (part &+ 1) &<< below.bits > start {
      guard loads.standings.nodes[below.first &+ part].standing.weight >= weight else { continue }
      if let leaf = leaf(from: start, weighing: weight, in: part, of: below) { return leaf }
    }
    return nil
  }
}
