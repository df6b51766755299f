// SPDX-License-Identifier: Apache-2.0
import CMachine

/// Pass 1 of a batch: from frames to packets of known services.
extension ForwarderCore {
  /// Frames whose headers are asked for ahead of the one that is parsed: 36 to 19 ns where frames
  /// are cold (hot-path.md §2).
  private static let prefetchDistance = 8
  /// Packets whose connection lines are asked for at once, no more than a processor has misses
  /// under way. One by one, in between parsing, the walks through the page tables do not overlap:
  /// 115 ns, and 52 in groups of 16, for a packet of 1 GiB of table in a virtual machine. By 32,
  /// 70 for 21 of 8 MiB (bench/README.md).
  private static let linesAtOnce = 16

  /// Pass 1: reads headers, finds services, asks for connection lines.
  ///
  /// - Returns: the places behind the last packets.
  @inline(__always)
  static func parse(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch
  ) -> PacketPlaces {
    let intake = IPv4Intake(core)
    var places = PacketPlaces(ipv4: core.pointee.ipv4Packets, ipv6: core.pointee.ipv6Packets)
    var (index, first) = (0, places)
    while index < batch.count {
      let (end, followsIPv6) = (min(index &+ linesAtOnce, batch.count), places.ipv6 > first.ipv6)
      first = places
      if _slowPath(followsIPv6) {
        (index, places.ipv6) = parseIPv6(core, batch, index..<end, places.ipv6)
      }
      while index < end {
        guard
          let frame = open(batch, index),
          let fields = PacketParser.plainIPv4(frame.octets.bytes)
        else {
          (index, places) = parseOthers(core, batch, index..<end, places)
          continue
        }
        if _fastPath(intake.accept(fields, frame, index, places.ipv4)) {
          places.ipv4 += 1
        } else {
          keep(core, batch, index, .noService)
        }
        index &+= 1
      }
      places.askForLines(since: first)
    }
    return places
  }

  /// A run of frames of `range` that are not plain IPv4: IPv6, VLAN tags, fragments, garbage. A run
  /// and not one frame, so that traffic of their kind pays for the call once (bench/README.md). It
  /// ends behind an IPv4 packet without tags, as plain ones will follow it.
  ///
  /// - Returns: the index after the run.
  @inline(never)
  private static func parseOthers(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ range: Range<Int>,
    _ places: PacketPlaces
  ) -> (index: Int, places: PacketPlaces) {
    var (index, places) = (range.lowerBound, places)
    while index < range.upperBound {
      let place = index
      index &+= 1
      guard let frame = open(batch, place) else {
        // The descriptor's length is as wrong as its address may be.
        core.pointee.counters.countDrop(DropReason.truncated.rawValue, bytes: 0)
        batch.verdicts[place] = .drop(.truncated)
        continue
      }
      if let reason = accept(core, frame, place, &places) {
        if reason.isFirstWord {
          keep(core, batch, place, reason)
        } else {
          drop(core, batch, place, reason)
        }
        continue
      }
      let type = EtherType(rawValue: frame.octets.bytes.uint16(at: 12))
      if type == .ipv4 { break }
      if type == .ipv6 {
        (index, places.ipv6) = parseIPv6(core, batch, index..<range.upperBound, places.ipv6)
      }
    }
    return (index, places)
  }

  /// A run of plain IPv6 within `range`, which may be empty.
  ///
  /// - Returns: the index after the run.
  @inline(never)
  private static func parseIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ range: Range<Int>,
    _ place: UnsafeMutablePointer<IPv6Packet>
  ) -> (index: Int, place: UnsafeMutablePointer<IPv6Packet>) {
    let intake = IPv6Intake(core)
    var (index, place) = (range.lowerBound, place)
    while index < range.upperBound {
      guard
        let frame = open(batch, index),
        let fields = PacketParser.plainIPv6(frame.octets.bytes)
      else { break }
      if _fastPath(intake.accept(fields, frame, index, place)) {
        place += 1
      } else {
        keep(core, batch, index, .noService)
      }
      index &+= 1
    }
    return (index, place)
  }

  /// The frame at `index`, with its successor's headers asked for; nil if it does not lie in the
  /// frames.
  @inline(__always)
  private static func open(_ batch: Batch, _ index: Int) -> Frame? {
    let place = batch.descriptors + index
    let descriptor = place.pointee
    if index < batch.count &- prefetchDistance {
      let ahead = place[prefetchDistance].address
      machine_prefetch(batch.frames + Int(truncatingIfNeeded: ahead))
    }
    let isInside =
      descriptor.address <= batch.frameBytes
      && UInt64(descriptor.length) <= batch.frameBytes &- descriptor.address
    guard _fastPath(isInside) else { return nil }
    return Frame(
      start: batch.frames + Int(truncatingIfNeeded: descriptor.address),
      count: Int(truncatingIfNeeded: descriptor.length))
  }

  /// Parses one frame of any kind, or says why not.
  @inline(__always)
  private static func accept(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ frame: Frame, _ index: Int,
    _ places: inout PacketPlaces
  ) -> DropReason? {
    let bytes = frame.octets.bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return .truncated }
    switch type {
    case .ipv4:
      let parsed = PacketParser.ipv4(bytes, at: offset)
      guard let fields = parsed.fields else { return parsed.reason }
      guard IPv4Intake(core).accept(fields, frame, index, places.ipv4) else { return .noService }
      places.ipv4 += 1
    case .ipv6:
      let parsed = PacketParser.ipv6(bytes, at: offset)
      guard let fields = parsed.fields else { return parsed.reason }
      guard IPv6Intake(core).accept(fields, frame, index, places.ipv6) else { return .noService }
      places.ipv6 += 1
    default:
      return .notIP
    }
    return nil
  }
}

extension PacketPlaces {
  /// Asks for the connection lines of the packets since then, two in a step: after an odd number of
  /// them for one more, of a packet of an earlier batch.
  @inline(__always) fileprivate func askForLines(since first: PacketPlaces) {
    var ipv4 = first.ipv4
    while ipv4 < self.ipv4 {
      machine_prefetch(ipv4[0].line)
      machine_prefetch(ipv4[1].line)
      ipv4 += 2
    }
    var ipv6 = first.ipv6
    while ipv6 < self.ipv6 {
      machine_prefetch(ipv6[0].line)
      machine_prefetch(ipv6[1].line)
      ipv6 += 2
    }
  }
}

extension DropReason {
  /// Whether the packet is looked at again (`ForwarderCore.keep`).
  @inline(__always) fileprivate var isFirstWord: Bool {
    let words: UInt32 =
      1 << DropReason.fragmentUnmatched.rawValue | 1 << DropReason.icmpUnmatched.rawValue
      | 1 << DropReason.noService.rawValue
    return words &>> UInt32(rawValue) & 1 != 0
  }
}

/// A received frame inside the UMEM, mutable and untrusted.
private struct Frame: BitwiseCopyable {
  let start: UnsafeMutableRawPointer
  let count: Int

  @inline(__always) var octets: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start, count: count)
  }
}

/// What the parsing of every IPv4 packet reads, in locals for a whole batch.
private struct IPv4Intake: BitwiseCopyable {
  let services: IPv4ServiceTable
  let table: IPv4ConnectionTable
  let hashKey: HashKey

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    services = core.pointee.content.pointee.ipv4Services
    table = core.pointee.ipv4
    hashKey = core.pointee.hashKey
  }

  /// Puts one packet into `place`; false if no service takes it.
  @inline(__always)
  func accept(
    _ fields: IPv4Fields, _ frame: Frame, _ index: Int, _ place: UnsafeMutablePointer<IPv4Packet>
  ) -> Bool {
    // First, so that the rest does without them in registers.
    place.pointee.frame = frame.start
    place.pointee.traits = PacketTraits(fields.transport, index: index)
    let known = services.lookUp(
      IPv4ServiceTable.key(
        fields.destination, fields.transport.destinationPort, fields.transport.ipProtocol))
    guard let service = known else { return false }
    let key = IPv4ConnectionTable.key(
      client: fields.source, port: fields.transport.sourcePort, service: service)
    let line = table.line(hashKey.hash(key))
    place.pointee.key = key
    place.pointee.line = line
    return true
  }
}

/// As `IPv4Intake`.
private struct IPv6Intake: BitwiseCopyable {
  let services: IPv6ServiceTable
  let table: IPv6ConnectionTable
  let hashKey: HashKey

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    services = core.pointee.content.pointee.ipv6Services
    table = core.pointee.ipv6
    hashKey = core.pointee.hashKey
  }

  /// As `IPv4Intake.accept`.
  @inline(__always)
  func accept(
    _ fields: IPv6Fields, _ frame: Frame, _ index: Int, _ place: UnsafeMutablePointer<IPv6Packet>
  ) -> Bool {
    place.pointee.frame = frame.start
    place.pointee.traits = PacketTraits(fields.transport, index: index)
    let known = services.lookUp(
      fields.destinationHigh, fields.destinationLow,
      IPv6ServiceTable.transport(fields.transport.destinationPort, fields.transport.ipProtocol))
    guard let service = known else { return false }
    let key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: service)
    let line = table.line(hashKey.hash(key.high, key.low, key.transport))
    place.pointee.key = key
    place.pointee.line = line
    return true
  }
}
