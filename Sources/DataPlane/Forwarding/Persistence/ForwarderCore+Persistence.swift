// SPDX-License-Identifier: Apache-2.0

/// Persistent services: `ip_vs_sched_persist` of the kernel's ip_vs_core.c.
extension ForwarderCore {
  /// While a connection lives, its template lasts so much longer (`ip_vs_conn_expire`).
  private static let extensionMilliseconds: UInt32 = 60_000
  /// A template is written anew at most so often, lest one client's connections fight for it.
  private static let refreshMilliseconds: Int32 = 1000

  /// The real server that the client of a new connection has, else the scheduler's choice, which
  /// it has from now on; nil if there is none.
  ///
  /// Overload does not end a template, as in LVS, nor does weight 0 unless the service's policy
  /// says so; a real server that was removed, or that does not resolve, does.
  static func persist(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ service: UInt16, _ client: Client, now: Tick
  ) -> UInt16? {
    let record = core.pointee.content.pointee.services + Int(service)
    let templates = core.pointee.templates
    let identity = core.pointee.identity(service, client)
    let expiry = now.advanced(byMilliseconds: record.pointee.persistenceMilliseconds)
    let known = templates.find(identity, now: now)
    if let known, core.pointee.keepsClients(known.template.realServer, service) {
      if expiry.milliseconds(since: known.template.expiry) >= refreshMilliseconds {
        known.position.exchange(known.template, for: known.template.until(expiry))
      }
      return known.template.realServer
    }
    guard let realServer = chosen(core, service, client, now: now) else { return nil }
    let agreed = templates.agree(
      on: Template(realServer: realServer, identity: identity, expiry: expiry), for: identity,
      client: (client.high & record.pointee.maskHigh, client.low & record.pointee.maskLow),
      refused: known?.template, now: now)
    guard let agreed else {
      core.pointee.counters.count(.unpersisted)
      return realServer
    }
    return core.pointee.keepsClients(agreed.realServer, service) ? agreed.realServer : realServer
  }

  @inline(__always)
  private func identity(_ service: UInt16, _ client: Client) -> UInt64 {
    let record = content.pointee.services + Int(service)
    return hashKey.hash(
      client.high & record.pointee.maskHigh, client.low & record.pointee.maskLow, UInt64(service))
      | 1
  }

  /// `ip_vs_check_template`.
  @inline(__always)
  private func keepsClients(_ realServer: UInt16, _ service: UInt16) -> Bool {
    guard let member = member(realServer, of: service) else { return false }
    return member.takesConnections
      || member.weight == 0
        && content.pointee.services[Int(service)].policy.quiescentClients == .keep
  }

  /// A connection of a persistent service's client is established: `ip_vs_control_assure_ct`.
  @inline(never)
  static func assureTemplate(
    _ core: UnsafeMutablePointer<ForwarderCore>, _ service: UInt16, _ client: Client, now: Tick
  ) {
    let identity = core.pointee.identity(service, client)
    guard let known = core.pointee.templates.find(identity, now: now) else { return }
    known.position.exchange(known.template, for: known.template.assured)
  }

  /// A live connection to `realServer` was met by the sweep.
  func keepTemplate(_ service: UInt16, _ client: Client, _ realServer: UInt16, now: Tick) {
    guard Int(service) < content.pointee.serviceCount,
      content.pointee.services[Int(service)].traits.contains(.persistent),
      let known = templates.find(identity(service, client), now: now),
      known.template.realServer == realServer
    else { return }
    let expiry = now.advanced(byMilliseconds: Self.extensionMilliseconds)
    if known.template.expiry.milliseconds(since: expiry) < 0 {
      known.position.exchange(known.template, for: known.template.until(expiry))
    }
  }

  /// Frees the templates of one bucket whose time is over or whose real server is retired, so that
  /// a tick that has wrapped revives none.
  func sweepTemplates(bucket: Int, now: Tick) {
    for entry in 0..<TemplateTable.entriesPerBucket {
      let position = templates.position(bucket: bucket, entry: entry)
      let template = position.template
      guard template.rawValue != 0 else { continue }
      if !template.isLive(position.identity, at: now)
        || status(of: template.realServer) == .retired
      {
        position.exchange(template, for: Template(rawValue: 0))
      }
    }
  }
}
