// SPDX-License-Identifier: Apache-2.0

/// What schedulers that hash, and persistence, know of a packet.
struct Client: BitwiseCopyable {
  /// Its address, an IPv4 one as ::ffff:a.b.c.d.
  var high: UInt64
  var low: UInt64
  /// `addr_fold` in host order.
  var address: UInt32
  var port: UInt16
  /// The number of the VIP that it addresses, within the service.
  var vip: UInt16 = 0

  /// Of an IPv4 connection's key.
  @inline(__always) init(ipv4 key: UInt64) {
    (high, low) = (0, 0xffff_0000_0000 | key &>> 32)
    address = UInt32(truncatingIfNeeded: key &>> 32)
    port = UInt16(truncatingIfNeeded: key &>> 16)
  }

  @inline(__always) init(ipv6 key: IPv6ConnectionKey) {
    self.init(high: key.high, low: key.low, transport: key.transport)
  }

  private init(high: UInt64, low: UInt64, transport: UInt64) {
    (self.high, self.low) = (high, low)
    let isIPv4 = high == 0 && low &>> 32 == 0xffff
    address = isIPv4 ? UInt32(truncatingIfNeeded: low) : Self.folded(high, low)
    port = UInt16(truncatingIfNeeded: transport &>> 16)
    vip = UInt16(truncatingIfNeeded: transport &>> 48)
  }

  /// Of the connection whose second word is `record`: its key lies before it.
  init(record: UnsafeMutablePointer<UInt64>, isInIPv6Table: Bool) {
    self =
      isInIPv6Table
      ? Client(high: record[-3], low: record[-2], transport: record[-1])
      : Client(ipv4: record[-IPv4ConnectionTable.entriesPerLine])
  }

  @inline(__always) static func folded(_ high: UInt64, _ low: UInt64) -> UInt32 {
    let word = high ^ low
    return UInt32(truncatingIfNeeded: word &>> 32) ^ UInt32(truncatingIfNeeded: word)
  }
}

/// One choice of a real server: all that it reads. Positions are places in the service's list.
///
/// The rules that need no memory of earlier choices are here, the others in `SchedulerCursor`.
struct Decision: BitwiseCopyable {
  private let record: UnsafeMutablePointer<ServiceRecord>
  let index: UInt16
  let content: UnsafePointer<SnapshotContent>
  /// The service's part of the section.
  let members: UnsafeMutablePointer<Member>
  let loads: ConnectionLoads
  let localities: LocalityTable
  let client: Client
  let hashKey: HashKey
  let now: Tick

  init(
    _ content: UnsafePointer<SnapshotContent>, service: UInt16, client: Client,
    loads: ConnectionLoads, localities: LocalityTable, hashKey: HashKey, now: Tick
  ) {
    record = content.pointee.services + Int(service)
    index = service
    self.content = content
    members = content.pointee.members + Int(record.pointee.firstMember)
    self.loads = loads
    self.localities = localities
    self.client = client
    self.hashKey = hashKey
    self.now = now
  }

  @inline(__always) var service: ServiceRecord { record.pointee }

  @inline(__always) private var thresholds: UnsafeMutablePointer<Thresholds> {
    content.pointee.thresholds + Int(service.firstMember)
  }

  @inline(__always) private var slots: UnsafeMutablePointer<UInt16> {
    content.pointee.slots + Int(service.firstSlot)
  }

  @inline(__always) var positions: Range<Int> { 0..<Int(service.memberCount) }

  /// Whether the real server there may get a connection: weight, neighbour, no overload.
  @inline(__always) func accepts(_ position: Int) -> Bool {
    let member = members[position]
    guard member.takesConnections else { return false }
    return _fastPath(!member.isLimited)
      || !loads.isOverloaded(member.realServer, thresholds[position])
  }

  /// `ip_vs_twos_schedule`: two drawn by weight from the kernel's range (0 to the sum, so that
  /// the first has one chance more), then the one with less overhead for its weight.
  ///
  /// - Parameter draw: another number for each decision.
  func lesserOfTwo(draw: UInt32) -> Int? {
    let standing = standing
    let sum = standing.acceptingWeight
    guard sum > 0 else { return nil }
    let seed = UInt64(client.address) &<< 32 | UInt64(client.port)
    // A hash that differed from the first in a small number would depend on it.
    let left = hashKey.hash(seed, UInt64(draw), 0)
    let right = hashKey.hash(left, UInt64(draw), 1)
    guard
      let first = position(ofLot: left % (sum &+ 1)),
      let second = position(ofLot: right % (sum &+ 1))
    else {
      // Another worker has overloaded one of them meanwhile.
      return Int(standing.position)
    }
    return exceeds(first, second) ? second : first
  }

  // MARK: Hashes

  func accepted(_ slot: UInt32) -> Int? {
    let position = Int(slots[Int(slot)])
    return accepts(position) ? position : nil
  }

  /// `ip_vs_dh_schedule`.
  func byDestination() -> Int? {
    UInt32(client.vip) < service.slotCount ? accepted(UInt32(client.vip)) : nil
  }

  /// `ip_vs_sh_schedule`, `ip_vs_sh_get_fallback`.
  func bySource() -> Int? {
    let size = SchedulerTable.sourceHashSlots
    let port = service.flags.contains(.port) ? UInt32(client.port) : 0
    let slot = SchedulerTable.hash32(client.address &+ port)
    if let position = accepted(slot) { return position }
    guard service.flags.contains(.fallback), service.heaviestAvailable > 0 else { return nil }
    for offset in 0..<size {
      if let position = accepted((slot &+ slot &+ offset) % size) { return position }
    }
    return nil
  }

  /// `ip_vs_mh_schedule`, `ip_vs_mh_get_fallback`.
  func byMaglev() -> Int? {
    let size = SchedulerTable.maglevSlots
    let port = service.flags.contains(.port) ? client.port : 0
    func slot(_ offset: UInt32) -> UInt32 {
      SchedulerTable.maglevHash(key: SchedulerTable.offsetKey, client.address, port, offset) % size
    }
    let first = slot(0)
    if let position = accepted(first) { return position }
    guard service.flags.contains(.fallback), service.heaviestAvailable > 0 else { return nil }
    for offset in 0..<size {
      if let position = accepted(slot((first &+ offset) % size)) { return position }
    }
    return nil
  }
}
