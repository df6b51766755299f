// SPDX-License-Identifier: Apache-2.0
import CNetlink
import DataPlane
import Glibc
import Logging
import Synchronization

/// Real servers' MAC addresses from the kernel's neighbour tables, over netlink.
///
/// The kernel keeps followed entries resolved by itself where it can (managed neighbours, Linux
/// 5.16); elsewhere, and for entries that do not answer, this asks again every five seconds, as
/// often as the kernel does for managed ones (`interval_probe_time_ms`).
///
/// Belongs to the network namespace of the thread that makes it. Changes arrive on a thread of its
/// own, which lives until `stop()`.
public final class KernelNeighbors: NeighborSource {
  private struct Followed {
    var neighbor: Neighbor
    var interfaceIndex: Int32
    var isManaged: Bool
    var isStatic: Bool

    /// The last MAC address stays while there is no valid one.
    mutating func take(_ entry: NeighborEntry) {
      neighbor.isResolved = entry.isValid
      if entry.isValid { neighbor.macAddress = entry.macAddress }
      isManaged = entry.isManaged && !entry.isDeletion
      isStatic = entry.isStatic
    }

    /// The kernel has no entry.
    mutating func forget() {
      neighbor.isResolved = false
      isManaged = false
      isStatic = false
    }
  }

  private struct State: ~Copyable {
    let requests: NetlinkSocket
    let asksForManagement: Bool
    var followed: [IPAddress: Followed] = [:]
    var isStopped = false
  }

  private static let probeMilliseconds: Int32 = 5000
  /// What comes within it is taken at once: many addresses that answer while others are being
  /// followed would otherwise contend for the table with each answer.
  private static let gatherMicroseconds: UInt32 = 1000

  public let events: AsyncStream<NeighborEvent>
  private let continuation: AsyncStream<NeighborEvent>.Continuation
  private let egresses: [Link]
  private let state: Mutex<State>
  /// A pipe whose writing end `stop()` closes.
  private let stopDescriptors: (reading: Int32, writing: Int32)
  private let logger: Logger
  private let thread: Mutex<pthread_t?>

  /// `interfaceIndices` are the egress interfaces in the order of their `EgressIndex`.
  public convenience init(
    interfaceIndices: [Int32], logger: Logger
  ) throws(DirectorError) {
    try self.init(interfaceIndices: interfaceIndices, logger: logger, asksForManagement: true)
  }

  /// - Parameter asksForManagement: false does as on a kernel before 5.16.
  init(
    interfaceIndices: [Int32], logger: Logger, asksForManagement: Bool
  ) throws(DirectorError) {
    self.logger = logger
    do {
      let requests = try NetlinkSocket()
      var egresses: [Link] = []
      for index in interfaceIndices {
        guard let link = try requests.link(index: index) else {
          throw NetlinkError(code: -NLE_NODEV, action: "find interface \(index)")
        }
        egresses.append(link)
      }
      self.egresses = egresses
      state = Mutex(State(requests: requests, asksForManagement: asksForManagement))
      let watcher = try NetlinkSocket(groups: [RTNLGRP_NEIGH, RTNLGRP_LINK])
      (events, continuation) = AsyncStream.makeStream()
      var descriptors: [Int32] = [-1, -1]
      guard pipe(&descriptors) == 0 else {
        throw NetlinkError(code: -nl_syserr2nlerr(errno), action: "open a pipe")
      }
      for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
      stopDescriptors = (descriptors[0], descriptors[1])
      thread = Mutex(nil)
      let sentWatcher = UncheckedSendable(watcher)
      let started = startThread { [self] in watch(sentWatcher.value) }
      guard let started else { throw NetlinkError(code: -NLE_NOMEM, action: "start a thread") }
      thread.withLock { $0 = started }
    } catch {
      throw .system("\(error)")
    }
  }

  // MARK: NeighborSource

  public func follow(_ address: IPAddress) throws(DirectorError) -> Neighbor {
    try state.withLock { state throws(DirectorError) in
      if let followed = state.followed[address] { return followed.neighbor }
      let egress = try Self.egress(to: address, of: egresses, asking: state.requests)
      let index = egresses[Int(egress)].index
      state.followed[address] = Followed(
        neighbor: Neighbor(macAddress: nil, isResolved: false, egress: egress),
        interfaceIndex: index, isManaged: false, isStatic: false)
      if let entry = state.requests.neighbor(address, interfaceIndex: index) {
        state.followed[address]!.take(entry)
      }
      do throws(NetlinkError) {
        try Self.resolve(address, &state)
      } catch {
        state.followed[address] = nil
        let isFull = error.code == -NLE_NOMEM
        throw .system(
          isFull
            ? "the kernel's neighbour table is full: raise the sysctl "
              + "net.\(address.isIPv4 ? "ipv4" : "ipv6").neigh.default.gc_thresh3"
            : "\(error)")
      }
      return state.followed[address]!.neighbor
    }
  }

  public func unfollow(_ address: IPAddress) {
    state.withLock { state in
      guard let followed = state.followed.removeValue(forKey: address) else { return }
      release(address, followed, state.requests)
    }
  }

  /// Gives all entries back to the kernel's own ageing and ends the thread and `events`.
  public func stop() {
    state.withLock { state in
      guard !state.isStopped else { return }
      state.isStopped = true
      for (address, followed) in state.followed { release(address, followed, state.requests) }
      state.followed = [:]
    }
    let thread = thread.withLock { $0.take() }
    guard let thread else { return }
    close(stopDescriptors.writing)
    pthread_join(thread, nil)
    close(stopDescriptors.reading)
    continuation.finish()
  }

  /// Which egress interface leads to `address`, if it is on one LAN with it.
  private static func egress(
    to address: IPAddress, of egresses: [Link], asking socket: NetlinkSocket
  ) throws(DirectorError) -> EgressIndex {
    let route: Route?
    do { route = try socket.route(to: address) } catch { throw .noRoute(address) }
    guard let route else { throw .noRoute(address) }
    switch route.type {
    case Int32(RTN_UNICAST): break
    case Int32(RTN_LOCAL): throw .ownAddress(address)
    case Int32(RTN_BROADCAST), Int32(RTN_MULTICAST), Int32(RTN_ANYCAST): throw .notUnicast(address)
    default: throw .noRoute(address)
    }
    if let gateway = route.gateway { throw .behindGateway(address, gateway: gateway) }
    guard let egress = egresses.firstIndex(where: { $0.index == route.interfaceIndex }) else {
      let link = try? socket.link(index: route.interfaceIndex)
      throw .otherInterface(
        address, interface: link?.name ?? "interface \(route.interfaceIndex)",
        expected: egresses.map(\.name).joined(separator: ", "))
    }
    return EgressIndex(egress)
  }

  /// Asks the kernel for an entry that lives as long as we follow; leaves an operator's alone.
  private static func resolve(_ address: IPAddress, _ state: inout State) throws(NetlinkError) {
    guard let followed = state.followed[address], !followed.isStatic else { return }
    let index = followed.interfaceIndex
    if !followed.isManaged && state.asksForManagement {
      try state.requests.resolve(address, interfaceIndex: index, managed: true)
      if let entry = state.requests.neighbor(address, interfaceIndex: index) {
        state.followed[address]!.take(entry)
      }
      if state.followed[address]!.isManaged { return }
    }
    try state.requests.resolve(address, interfaceIndex: index, managed: false)
  }

  private func release(_ address: IPAddress, _ followed: Followed, _ socket: NetlinkSocket) {
    guard followed.isManaged else { return }
    do {
      // NTF_USE without NTF_EXT_MANAGED takes the flag away and keeps the entry.
      try socket.resolve(address, interfaceIndex: followed.interfaceIndex, managed: false)
    } catch {
      logger.warning("\(error)", metadata: ["address": "\(address)"])
    }
  }

  // MARK: The thread

  private func watch(_ watcher: NetlinkSocket) {
    var descriptors = [
      pollfd(fd: watcher.fileDescriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stopDescriptors.reading, events: Int16(POLLIN), revents: 0),
    ]
    var lastProbe = monotonicTime()
    while true {
      poll(&descriptors, 2, Self.probeMilliseconds)
      if descriptors[1].revents != 0 { return }
      usleep(Self.gatherMicroseconds)
      var (entries, links) = ([NeighborEntry](), [Link]())
      do {
        let isComplete = try watcher.receive { header in
          if let entry = NeighborEntry(header) {
            entries.append(entry)
          } else if let link = Link(header) {
            links.append(link)
          }
        }
        take(entries)
        links.forEach(take)
        if !isComplete { lookAgain() }
      } catch {
        logger.error("\(error)")
        lookAgain()
      }
      if monotonicTime() - lastProbe >= .milliseconds(Self.probeMilliseconds) {
        lastProbe = monotonicTime()
        probe()
      }
    }
  }

  private func take(_ entries: [NeighborEntry]) {
    guard !entries.isEmpty else { return }
    let changes = state.withLock { state in
      entries.compactMap { entry in
        Self.take(entry, &state).map { NeighborEvent.neighbor(entry.address, $0) }
      }
    }
    for change in changes { continuation.yield(change) }
  }

  /// What is new of a followed address; nil where nothing is.
  private static func take(_ entry: NeighborEntry, _ state: inout State) -> Neighbor? {
    guard let before = state.followed[entry.address],
      before.interfaceIndex == entry.interfaceIndex
    else { return nil }
    state.followed[entry.address]!.take(entry)
    // Flushed, or lost with the interface's MAC address: asked for anew at once.
    if entry.isDeletion { try? resolve(entry.address, &state) }
    let after = state.followed[entry.address]!.neighbor
    return after == before.neighbor ? nil : after
  }

  private func take(_ link: Link) {
    guard let egress = egresses.firstIndex(where: { $0.index == link.index }) else { return }
    if link.isDeletion {
      continuation.yield(.linkGone(EgressIndex(egress), name: link.name))
      return
    }
    guard let macAddress = link.macAddress, let mtu = link.mtu else { return }
    continuation.yield(.link(EgressIndex(egress), macAddress, mtu: mtu, isUp: link.isUp))
    if link.isUp { probe() }
  }

  /// Some messages were lost: reads every followed entry and every egress.
  private func lookAgain() {
    let links = state.withLock { state in
      egresses.compactMap { try? state.requests.link(index: $0.index) }
    }
    links.forEach(take)
    change { state in
      for (address, followed) in state.followed {
        let entry = state.requests.neighbor(address, interfaceIndex: followed.interfaceIndex)
        if let entry {
          state.followed[address]!.take(entry)
        } else {
          state.followed[address]!.forget()
        }
      }
    }
  }

  /// Asks anew for what does not answer, and for what the kernel does not refresh by itself.
  private func probe() {
    change { state in
      for (address, followed) in state.followed
      where !followed.isManaged || !followed.neighbor.isResolved {
        // A link that is down refuses; the next probe may not.
        try? Self.resolve(address, &state)
      }
    }
  }

  /// Says what `body` found changed.
  private func change(_ body: (inout State) -> Void) {
    let changes = state.withLock { state in
      let before = state.followed
      body(&state)
      return state.followed.filter { before[$0.key]?.neighbor != $0.value.neighbor }
    }
    for (address, followed) in changes { continuation.yield(.neighbor(address, followed.neighbor)) }
  }
}
