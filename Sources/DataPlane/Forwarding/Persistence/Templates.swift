// SPDX-License-Identifier: Apache-2.0

/// A client that keeps its real server, as it was when it was read.
public struct TemplateDescription: Sendable, Equatable {
  /// Under the service's mask.
  public var client: IPAddress
  public var realServer: RealServerIndex
  /// Whether a TCP connection of the client was established meanwhile.
  public var isAssured: Bool
  public var remainingMilliseconds: Int32
}

/// The memory of a `TemplateTable`: all workers of a director share one, and any thread may list
/// it. It lives as long as somebody holds it.
public final class Templates: Sendable {
  private let memory: SharedMemory
  let table: TemplateTable

  /// - Parameter entries: rounded up to a power of two, at least one bucket.
  public init(entries: Int) throws(SharedMemoryError) {
    var buckets = 1
    while buckets * TemplateTable.entriesPerBucket < min(entries, Self.maximumEntries) {
      buckets *= 2
    }
    memory = try SharedMemory(
      byteCount: buckets * TemplateTable.bucketBytes, name: "martinet-templates")
    table = TemplateTable(base: memory.base, bucketMask: UInt64(buckets - 1))
  }

  private static let maximumEntries = 1 << 28

  /// Places for templates.
  public var records: Int { table.bucketCount * TemplateTable.entriesPerBucket }

  /// As `ForwarderView.forEachConnection`.
  public func forEach(
    from first: Int, to end: Int, now: Tick, _ take: (TemplateDescription) -> Bool
  ) -> Int {
    var record = min(max(0, first), records)
    let end = min(end, records)
    while record < end {
      let (bucket, entry) = record.quotientAndRemainder(dividingBy: TemplateTable.entriesPerBucket)
      let template = describe(table.position(bucket: bucket, entry: entry), now)
      record += 1
      if let template, !take(template) { break }
    }
    return record
  }

  private func describe(_ position: TemplateTable.Position, _ now: Tick) -> TemplateDescription? {
    let identity = position.identity
    let template = position.template
    guard template.isLive(identity, at: now) else { return nil }
    let (high, low) = position.client
    guard position.identity == identity else { return nil }
    return TemplateDescription(
      client: IPAddress(high: high, low: low),
      realServer: RealServerIndex(rawValue: template.realServer), isAssured: template.isAssured,
      remainingMilliseconds: template.expiry.milliseconds(since: now))
  }

  /// How many clients each real server is remembered for; it walks the whole table, a few
  /// milliseconds at the default size.
  public func counts(now: Tick) -> [RealServerIndex: UInt64] {
    var counts: [RealServerIndex: UInt64] = [:]
    for bucket in 0..<table.bucketCount {
      for entry in 0..<TemplateTable.entriesPerBucket {
        let position = table.position(bucket: bucket, entry: entry)
        let template = position.template
        if template.isLive(position.identity, at: now) {
          counts[RealServerIndex(rawValue: template.realServer), default: 0] += 1
        }
      }
    }
    return counts
  }
}

extension IPAddress {
  /// As `Client` keeps addresses: IPv4 ones in the form ::ffff:a.b.c.d of RFC 4291 §2.5.5.2.
  init(high: UInt64, low: UInt64) {
    self =
      high == 0 && low &>> 32 == 0xffff
      ? .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: low)))
      : .v6(IPv6Address(high: high, low: low))
  }
}
