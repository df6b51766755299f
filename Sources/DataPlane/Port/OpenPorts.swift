// SPDX-License-Identifier: Apache-2.0

/// Interfaces that a director forwards on, all open or none: a socket of each on every queue, and
/// the frames that the sockets of one queue have in common.
///
/// All calls come from one thread at a time. Going out of scope detaches, closes and unmaps
/// everything.
struct OpenPorts: ~Copyable {
  /// By `EgressIndex`. First, so that it goes first.
  private(set) var ports: UniqueArray<OpenPort>
  private let frames: UniqueArray<SharedMemory>

  /// What an `EgressIndex` can tell apart.
  private static let limit = 256

  /// Opens everything in the caller's network namespace and lets no packet in yet.
  ///
  /// - Parameter configurations: at least one, of interfaces with the same number of queues to be
  ///   taken.
  init(_ configurations: [PortConfiguration]) throws(PortError) {
    guard configurations.count <= Self.limit else {
      throw PortError(
        .unsupported,
        "\(configurations.count) interfaces are too many: give \(Self.limit) at most")
    }
    var interfaces: [Interface] = []
    for configuration in configurations {
      let interface = try Interface(named: configuration.interface)
      try interface.checkFree()
      interfaces.append(interface)
    }
    let queueCount = try Self.queueCount(interfaces, configurations)
    // Equal parts of the frames are what the interfaces receive into.
    var depth = QueueDepth.zeroCopy
    for configuration in configurations where try !configuration.isZeroCopy() { depth = .copy }
    var chunkBytes: UInt32 = 0
    for interface in interfaces { chunkBytes = max(chunkBytes, try interface.chunkBytes()) }
    let byteCount = configurations.count * Int(depth.frameCount * chunkBytes)
    let frames = try UniqueArray<SharedMemory>(
      count: queueCount
    ) { queue throws(PortError) in
      do {
        return try SharedMemory(byteCount: byteCount, name: "martinet-frames-\(queue)")
      } catch {
        throw PortError(.exhausted, "mapping the frames of queue \(queue) failed: \(error)")
      }
    }
    ports = try UniqueArray<OpenPort>(
      count: configurations.count
    ) { index throws(PortError) in
      try OpenPort(
        interfaces[index], configurations[index], frames: frames, depth: depth,
        chunkBytes: chunkBytes)
    }
    self.frames = frames
  }

  /// One worker has the same queue of every interface.
  private static func queueCount(
    _ interfaces: [Interface], _ configurations: [PortConfiguration]
  ) throws(PortError) -> Int {
    var counts: [Int] = []
    for (interface, configuration) in zip(interfaces, configurations) {
      counts.append(try interface.workerCount(configuration.queues))
    }
    guard let least = counts.min(), let place = counts.firstIndex(where: { $0 != least }) else {
      return counts[0]
    }
    let other = interfaces[counts.firstIndex(of: least)!].name
    throw PortError(
      .unsupported,
      "\(interfaces[place].name) would have \(counts[place]) receive queues and \(other) \(least), "
        + "and a worker takes the same queue of every interface: give all `queues: \(least)`, or "
        + "the same number by `ethtool -L`")
  }

  var count: Int { ports.count }

  var descriptions: [InterfaceDescription] {
    var descriptions: [InterfaceDescription] = []
    for index in 0..<count { descriptions.append(ports[index].pointee.description) }
    return descriptions
  }

  /// Lets the packets of services in, by all interfaces or none. The last step: every worker runs.
  mutating func attach() throws(PortError) {
    for index in 0..<count {
      do throws(PortError) {
        try ports[index].pointee.attach()
      } catch {
        detach()
        throw error
      }
    }
  }

  /// Lets no more packets in; the kernel sees them again.
  mutating func detach() {
    for index in 0..<count { ports[index].pointee.detach() }
  }

  /// As `DirectorProgram.open`, on all interfaces or none.
  mutating func open(_ services: VirtualPorts) throws(PortError) {
    for index in 0..<count {
      do throws(PortError) {
        try ports[index].pointee.open(services)
      } catch {
        for opened in 0..<index { try? ports[opened].pointee.close(services) }
        throw named(error, index)
      }
    }
  }

  /// As `DirectorProgram.close`, on all interfaces, also where one refuses.
  mutating func close(_ services: VirtualPorts) throws(PortError) {
    var refusal: PortError?
    for index in 0..<count {
      do throws(PortError) {
        try ports[index].pointee.close(services)
      } catch {
        refusal = refusal ?? named(error, index)
      }
    }
    if let refusal { throw refusal }
  }

  /// An interface has another MAC address.
  mutating func setMACAddress(_ macAddress: MACAddress, of index: Int) throws(PortError) {
    do throws(PortError) {
      try ports[index].pointee.setMACAddress(macAddress)
    } catch {
      throw named(error, index)
    }
  }

  /// What the programs decided, summed over all interfaces and CPUs.
  var counters: ProgramCounters {
    var counters = ProgramCounters()
    for index in 0..<count { counters += ports[index].pointee.counters }
    return counters
  }

  /// What refuses a service does not know the interface's name.
  private func named(_ error: PortError, _ index: Int) -> PortError {
    PortError(error.kind, "\(ports[index].pointee.description.name): \(error.description)")
  }
}
