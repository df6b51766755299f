// SPDX-License-Identifier: Apache-2.0
import CMachine

/// Pass 1 of a batch: from frames to packets of known services.
extension ForwarderCore {
  /// Frames whose headers are asked for ahead of the one that is parsed: 36 to 19 ns where frames
  /// are cold (hot-path.md §2).
  private static let prefetchDistance = 8

  /// Pass 1: reads headers, finds services, asks for connection lines.
  @inline(__always)
  static func parse(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch
  ) -> (ipv4: Int, ipv6: Int) {
    let intake = IPv4Intake(core)
    var (ipv4Count, ipv6Count) = (0, 0)
    var index = 0
    while index < batch.count {
      guard
        let frame = open(batch, index),
        let fields = PacketParser.plainIPv4(frame.octets.bytes)
      else {
        (index, ipv4Count, ipv6Count) = parseOthers(core, batch, from: index, ipv4Count, ipv6Count)
        continue
      }
      if _fastPath(intake.accept(fields, frame, index, ipv4Count)) {
        ipv4Count &+= 1
      } else {
        refuse(core, batch, index, .noService)
      }
      index &+= 1
    }
    return (ipv4Count, ipv6Count)
  }

  /// A run of frames that are not plain IPv4: IPv6, VLAN tags, fragments, garbage. A run and not
  /// one frame, so that traffic of their kind pays for the call once (bench/README.md). It ends
  /// behind an IPv4 packet without tags, as plain ones will follow it.
  ///
  /// - Returns: the index after the run.
  @inline(never)
  private static func parseOthers(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, from first: Int,
    _ ipv4Count: Int, _ ipv6Count: Int
  ) -> (index: Int, ipv4: Int, ipv6: Int) {
    var (index, ipv4Count, ipv6Count) = (first, ipv4Count, ipv6Count)
    while index < batch.count {
      let place = index
      index &+= 1
      guard let frame = open(batch, place) else {
        drop(core, batch, place, .truncated)
        continue
      }
      if let reason = accept(core, frame, place, &ipv4Count, &ipv6Count) {
        refuse(core, batch, place, reason)
        continue
      }
      let type = EtherType(rawValue: frame.octets.bytes.uint16(at: 12))
      if type == .ipv4 { break }
      if type == .ipv6 { (index, ipv6Count) = parseIPv6(core, batch, from: index, ipv6Count) }
    }
    return (index, ipv4Count, ipv6Count)
  }

  /// A run of plain IPv6, which may be empty.
  ///
  /// - Returns: the index after the run.
  @inline(never)
  private static func parseIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, from first: Int, _ ipv6Count: Int
  ) -> (index: Int, ipv6: Int) {
    let intake = IPv6Intake(core)
    var (index, ipv6Count) = (first, ipv6Count)
    while index < batch.count {
      guard
        let frame = open(batch, index),
        let fields = PacketParser.plainIPv6(frame.octets.bytes)
      else { break }
      if _fastPath(intake.accept(fields, frame, index, ipv6Count)) {
        ipv6Count &+= 1
      } else {
        refuse(core, batch, index, .noService)
      }
      index &+= 1
    }
    return (index, ipv6Count)
  }

  /// The frame at `index`, with its successor's headers asked for; nil if it does not lie in the
  /// frames.
  @inline(__always)
  private static func open(_ batch: Batch, _ index: Int) -> Frame? {
    let descriptor = batch.descriptors[index]
    if index &+ prefetchDistance < batch.count {
      let ahead = batch.descriptors[index &+ prefetchDistance].address
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
    _ core: UnsafeMutablePointer<ForwarderCore>, _ frame: Frame,
    _ index: Int, _ ipv4Count: inout Int, _ ipv6Count: inout Int
  ) -> DropReason? {
    let bytes = frame.octets.bytes
    guard let (offset, type) = PacketParser.networkHeader(bytes) else { return .truncated }
    switch type {
    case .ipv4:
      let parsed = PacketParser.ipv4(bytes, at: offset)
      guard let fields = parsed.fields else { return parsed.reason }
      guard IPv4Intake(core).accept(fields, frame, index, ipv4Count) else { return .noService }
      ipv4Count &+= 1
    case .ipv6:
      let parsed = PacketParser.ipv6(bytes, at: offset)
      guard let fields = parsed.fields else { return parsed.reason }
      guard IPv6Intake(core).accept(fields, frame, index, ipv6Count) else { return .noService }
      ipv6Count &+= 1
    default:
      return .notIP
    }
    return nil
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
  let packets: UnsafeMutablePointer<IPv4Packet>

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    services = core.pointee.content.pointee.ipv4Services
    table = core.pointee.ipv4
    hashKey = core.pointee.hashKey
    packets = core.pointee.ipv4Packets
  }

  /// Puts one packet into scratch place `place`; false if no service takes it.
  @inline(__always)
  func accept(_ fields: IPv4Fields, _ frame: Frame, _ index: Int, _ place: Int) -> Bool {
    let service = services.lookUp(
      IPv4ServiceTable.key(
        fields.destination, fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return false }
    let key = IPv4ConnectionTable.key(
      client: fields.source, port: fields.transport.sourcePort, service: service)
    let line = table.line(hashKey.hash(key))
    machine_prefetch(line)
    packets[place] = IPv4Packet(
      key: key, line: line, frame: frame.start,
      facts: PacketFacts(fields.transport, service: service, index: index))
    return true
  }
}

/// As `IPv4Intake`.
private struct IPv6Intake: BitwiseCopyable {
  let services: IPv6ServiceTable
  let table: IPv6ConnectionTable
  let hashKey: HashKey
  let packets: UnsafeMutablePointer<IPv6Packet>

  @inline(__always) init(_ core: UnsafeMutablePointer<ForwarderCore>) {
    services = core.pointee.content.pointee.ipv6Services
    table = core.pointee.ipv6
    hashKey = core.pointee.hashKey
    packets = core.pointee.ipv6Packets
  }

  /// As `IPv4Intake.accept`.
  @inline(__always)
  func accept(_ fields: IPv6Fields, _ frame: Frame, _ index: Int, _ place: Int) -> Bool {
    let service = services.lookUp(
      fields.destinationHigh, fields.destinationLow,
      IPv6ServiceTable.transport(fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return false }
    let key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: service)
    let line = table.line(hashKey.hash(key.high, key.low, key.transport))
    machine_prefetch(line)
    packets[place] = IPv6Packet(
      key: key, line: line, frame: frame.start,
      facts: PacketFacts(fields.transport, service: service, index: index))
    return true
  }
}
