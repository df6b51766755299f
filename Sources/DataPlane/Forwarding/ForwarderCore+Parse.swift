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
      guard let frame = open(core, batch, index) else {
        index &+= 1
        continue
      }
      guard _fastPath(isPlainIPv4(frame.octets.bytes)) else {
        (index, ipv4Count, ipv6Count) = parseOthers(core, batch, from: index, ipv4Count, ipv6Count)
        continue
      }
      let offset = PacketParser.ethernetBytes
      if let reason = intake.accept(frame, at: offset, index, ipv4Count) {
        refuse(core, batch, index, reason)
      } else {
        ipv4Count &+= 1
      }
      index &+= 1
    }
    return (ipv4Count, ipv6Count)
  }

  /// A run of frames that are not plain Ethernet with IPv4: VLAN tags, IPv6, garbage. A run and not
  /// one frame, so that traffic of their kind pays for the call once (bench/README.md).
  ///
  /// - Returns: the index after the run.
  @inline(never)
  private static func parseOthers(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, from first: Int,
    _ ipv4Count: Int, _ ipv6Count: Int
  ) -> (index: Int, ipv4: Int, ipv6: Int) {
    var (index, ipv4Count, ipv6Count) = (first, ipv4Count, ipv6Count)
    while index < batch.count {
      guard let frame = open(core, batch, index) else {
        index &+= 1
        continue
      }
      if isPlainIPv4(frame.octets.bytes) { break }
      if let reason = accept(core, frame, index, &ipv4Count, &ipv6Count) {
        refuse(core, batch, index, reason)
      }
      index &+= 1
    }
    return (index, ipv4Count, ipv6Count)
  }

  @inline(__always)
  private static func isPlainIPv4(_ bytes: RawSpan) -> Bool {
    bytes.byteCount >= 34 && bytes.uint16(at: 12) == EtherType.ipv4.rawValue
  }

  /// The frame at `index`, with its successor's headers asked for; nil, and dropped, if it does not
  /// lie in the frames.
  @inline(__always)
  private static func open(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ batch: Batch, _ index: Int
  ) -> Frame? {
    let descriptor = batch.descriptors[index]
    if index &+ prefetchDistance < batch.count {
      let ahead = batch.descriptors[index &+ prefetchDistance].address
      machine_prefetch(batch.frames + Int(truncatingIfNeeded: ahead))
    }
    let isInside =
      descriptor.address <= batch.frameBytes
      && UInt64(descriptor.length) <= batch.frameBytes &- descriptor.address
    guard _fastPath(isInside) else {
      drop(core, batch, index, .truncated)
      return nil
    }
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
    guard let (offset, type) = PacketParser.networkHeader(frame.octets.bytes) else {
      return .truncated
    }
    switch type {
    case .ipv4:
      let intake = IPv4Intake(core)
      if let reason = intake.accept(frame, at: offset, index, ipv4Count) { return reason }
      ipv4Count &+= 1
    case .ipv6:
      if let reason = acceptIPv6(core, frame, at: offset, index, ipv6Count) {
        return reason
      }
      ipv6Count &+= 1
    default:
      return .notIP
    }
    return nil
  }

  /// Parses one IPv6 packet into scratch place `place`, or says why not.
  @inline(__always)
  private static func acceptIPv6(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ frame: Frame,
    at offset: Int, _ index: Int, _ place: Int
  ) -> DropReason? {
    let parsed = PacketParser.ipv6(frame.octets.bytes, at: offset)
    guard let fields = parsed.fields else { return parsed.reason }
    let service = core.pointee.content.pointee.ipv6Services.lookUp(
      fields.destinationHigh, fields.destinationLow,
      IPv6ServiceTable.transport(fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return .noService }
    let key = IPv6ConnectionKey(
      high: fields.sourceHigh, low: fields.sourceLow, port: fields.transport.sourcePort,
      service: service)
    let line = core.pointee.ipv6.line(core.pointee.hashKey.hash(key.high, key.low, key.transport))
    machine_prefetch(line)
    core.pointee.ipv6Packets[place] = IPv6Packet(
      key: key, line: line, frame: frame.start,
      facts: PacketFacts(fields.transport, service: service, index: index))
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

  /// Parses one packet into scratch place `place`, or says why not.
  @inline(__always)
  func accept(
    _ frame: Frame, at offset: Int, _ index: Int, _ place: Int
  ) -> DropReason? {
    let parsed = PacketParser.ipv4(frame.octets.bytes, at: offset)
    guard let fields = parsed.fields else { return parsed.reason }
    let service = services.lookUp(
      IPv4ServiceTable.key(
        fields.destination, fields.transport.destinationPort, fields.transport.ipProtocol))
    guard _fastPath(service != 0) else { return .noService }
    let key = IPv4ConnectionTable.key(
      client: fields.source, port: fields.transport.sourcePort, service: service)
    let line = table.line(hashKey.hash(key))
    machine_prefetch(line)
    packets[place] = IPv4Packet(
      key: key, line: line, frame: frame.start,
      facts: PacketFacts(fields.transport, service: service, index: index))
    return nil
  }
}
