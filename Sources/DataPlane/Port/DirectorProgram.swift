// SPDX-License-Identifier: Apache-2.0
import CDirectorABI
import CXDP
import Glibc

/// Packets that the eBPF program decided, by fate, since it was loaded.
public struct ProgramCounters: Sendable, Equatable {
  /// Packets of services handed to a worker.
  public var services: UInt64
  /// Fragments of a VIP's packets handed to a worker.
  public var fragments: UInt64
  /// ICMP errors for a VIP handed to a worker.
  public var icmpErrors: UInt64
  /// Dropped because their receive queue has no socket.
  public var withoutSocket: UInt64
  /// For a VIP but with another machine's MAC address: the kernel's.
  public var otherHost: UInt64
  /// For a VIP but without a whole header: the kernel's.
  public var malformed: UInt64

  public init(
    services: UInt64 = 0, fragments: UInt64 = 0, icmpErrors: UInt64 = 0,
    withoutSocket: UInt64 = 0, otherHost: UInt64 = 0, malformed: UInt64 = 0
  ) {
    self.services = services
    self.fragments = fragments
    self.icmpErrors = icmpErrors
    self.withoutSocket = withoutSocket
    self.otherHost = otherHost
    self.malformed = malformed
  }

  static func += (left: inout Self, right: Self) {
    left.services &+= right.services
    left.fragments &+= right.fragments
    left.icmpErrors &+= right.icmpErrors
    left.withoutSocket &+= right.withoutSocket
    left.otherHost &+= right.otherHost
    left.malformed &+= right.malformed
  }
}

/// bpf/director.bpf.c in the kernel, with its maps. The owner unloads it by going out of scope.
struct DirectorProgram: ~Copyable {
  /// Of the program; closed with it.
  let fileDescriptor: Int32
  /// By queue: which SYNs the program lets in.
  let admissions: AdmissionMemory
  private let object: OpaquePointer
  private let services: Int32
  private let displaced: Int32
  private let vips: Int32
  private let sockets: Int32
  private let counterMap: Int32
  private let port: Int32
  private let wide: Int32
  private var macAddress: MACAddress
  private var opened: Set<VirtualPorts> = []
  /// Whose each slot is, of those that are someone's.
  private var openedSlots: [UInt32: VirtualPorts] = [:]
  /// How many of one port found their slot another's when they were opened.
  private var displacedCount = 0
  /// How many of them each VIP has: it closes with the last one.
  private var openedOfVIP: [IPAddress: Int] = [:]
  /// Those of more than one port, by VIP and protocol.
  private var openedWide: [WideKey: Set<ClosedRange<Port>>] = [:]

  private struct WideKey: Hashable {
    var address: IPAddress
    var ipProtocol: IPProtocol
  }

  /// Loads the program, which will take only frames addressed to `macAddress`.
  init(macAddress: MACAddress) throws(PortError) {
    let object = try Self.load()
    func map(_ name: String) -> Int32 { bpf_object__find_map_fd_by_name(object, name) }
    do {
      try Self.set(map("port"), macAddress)
      admissions = try AdmissionMemory(map: map("admissions"))
    } catch {
      bpf_object__close(object)
      throw error
    }
    self.object = object
    self.macAddress = macAddress
    fileDescriptor = bpf_program__fd(bpf_object__find_program_by_name(object, "director"))
    services = map("services")
    displaced = map("displaced")
    wide = map("wide")
    vips = map("vips")
    sockets = map("xsks")
    counterMap = map("counters")
    port = map("port")
  }

  deinit { bpf_object__close(object) }

  /// From now on the program takes only frames addressed to `macAddress`.
  mutating func setMACAddress(_ macAddress: MACAddress) throws(PortError) {
    try describe(macAddress)
    self.macAddress = macAddress
  }

  private static func load() throws(PortError) -> OpaquePointer {
    cxdp_silence_libraries()
    let opening = DirectorObject.words.withUnsafeBytes {
      bpf_object__open_mem($0.baseAddress, DirectorObject.byteCount, nil)
    }
    guard let object = opening else { throw .system("opening the eBPF program", errno) }
    let status = bpf_object__load(object)
    guard status != 0 else { return object }
    bpf_object__close(object)
    if status == -EPERM { throw .system("loading the eBPF program", EPERM) }
    throw PortError(
      .unsupported,
      "the kernel refuses the eBPF program: \(PortError.sentence(-status)); it takes Linux 5.10 or "
        + "later with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS, and the capabilities "
        + PortError.capabilities)
  }

  /// Tells the program whose frames to take, and in which maps to look for services.
  private func describe(_ macAddress: MACAddress) throws(PortError) {
    try Self.set(
      port, macAddress, hasDisplaced: displacedCount > 0, hasWide: !openedWide.isEmpty)
  }

  private static func set(
    _ map: Int32, _ macAddress: MACAddress, hasDisplaced: Bool = false, hasWide: Bool = false
  ) throws(PortError) {
    var value = director_port()
    value.has_displaced = hasDisplaced ? 1 : 0
    value.has_wide = hasWide ? 1 : 0
    withUnsafeMutableBytes(of: &value.mac_address) { $0.copyBytes(from: macAddress.octets) }
    try update(map, UInt32(0), value, "describing the interface")
  }

  private static func update<Key: BitwiseCopyable, Value: BitwiseCopyable>(
    _ map: Int32, _ key: Key, _ value: Value, _ attempt: String
  ) throws(PortError) {
    var (key, value) = (key, value)
    let status = bpf_map_update_elem(map, &key, &value, UInt64(BPF_ANY))
    guard status == 0 else { throw .system(attempt, -status) }
  }

  /// Frames of `queue` go to this bound AF_XDP socket; the kernel forgets it when it is closed.
  func setSocket(_ socket: Int32, queue: UInt32) throws(PortError) {
    try Self.update(sockets, queue, UInt32(socket), "registering queue \(queue)")
  }

  /// From now on the packets to these ports go to the workers. Doing so twice is doing it once.
  mutating func open(_ ports: VirtualPorts) throws(PortError) {
    guard !opened.contains(ports) else { return }
    guard opened.count < Int(DIRECTOR_MAX_SERVICES) else {
      throw PortError(
        .exhausted, "there are \(DIRECTOR_MAX_SERVICES) services already; delete one first")
    }
    try Self.update(vips, ports.address.mapKey, UInt8(1), "opening the VIP \(ports.address)")
    do {
      if ports.isOne {
        try place(ports)
      } else {
        try setWide(ports) { $0.insert(ports.ports) }
      }
    } catch {
      try? closeVIP(ports.address)
      throw error
    }
    opened.insert(ports)
    openedOfVIP[ports.address, default: 0] += 1
  }

  /// From now on the packets to these ports are the kernel's, unless they are open otherwise; the
  /// VIP's fragments and ICMP errors too when they were the last ones open there.
  mutating func close(_ ports: VirtualPorts) throws(PortError) {
    guard opened.contains(ports) else { return }
    if ports.isOne {
      try vacate(ports)
    } else {
      try setWide(ports) { $0.remove(ports.ports) }
    }
    opened.remove(ports)
    openedOfVIP[ports.address]! -= 1
    try closeVIP(ports.address)
  }

  /// Gives a service of one port its slot, or a place among the displaced where it is another's.
  private mutating func place(_ ports: VirtualPorts) throws(PortError) {
    let (key, attempt) = (ports.mapKey, "opening a service")
    let slot = key.slot
    if openedSlots[slot] == nil {
      try Self.update(services, slot, director_service_slot(key: key, zero: (0, 0, 0)), attempt)
      openedSlots[slot] = ports
    } else {
      try Self.update(displaced, key, UInt8(1), attempt)
      displacedCount += 1
      try describe(macAddress)
    }
  }

  /// Takes a service of one port from where it is. A slot is empty before it is the next one's, so
  /// the program, which reads while it is written, takes no mixture of two services for a third.
  private mutating func vacate(_ ports: VirtualPorts) throws(PortError) {
    let (key, attempt) = (ports.mapKey, "closing a service")
    let slot = key.slot
    if openedSlots[slot] == ports {
      try Self.update(services, slot, director_service_slot(), attempt)
      openedSlots[slot] = nil
    } else {
      try Self.delete(displaced, key, attempt)
      displacedCount -= 1
      try describe(macAddress)
    }
  }

  /// Changes the ranges of a VIP and protocol, in the kernel first.
  private mutating func setWide(
    _ ports: VirtualPorts, _ change: (inout Set<ClosedRange<Port>>) -> Void
  ) throws(PortError) {
    let key = WideKey(address: ports.address, ipProtocol: ports.ipProtocol)
    var ranges = openedWide[key] ?? []
    change(&ranges)
    if ranges.isEmpty {
      try Self.delete(wide, ports.mapKey, "closing ports")
    } else {
      guard openedWide[key] != nil || openedWide.count < Int(DIRECTOR_MAX_WIDE) else {
        throw PortError(
          .exhausted,
          "services of many ports are on \(DIRECTOR_MAX_WIDE) VIPs already; delete one first")
      }
      try Self.update(wide, ports.mapKey, director_wide_ports(ranges), "opening ports")
    }
    openedWide[key] = ranges.isEmpty ? nil : ranges
    try describe(macAddress)
  }

  private static func delete<Key: BitwiseCopyable>(
    _ map: Int32, _ key: Key, _ attempt: String
  ) throws(PortError) {
    var key = key
    let status = bpf_map_delete_elem(map, &key)
    guard status == 0 || status == -ENOENT else { throw .system(attempt, -status) }
  }

  /// Unless ports of it are open.
  private mutating func closeVIP(_ address: IPAddress) throws(PortError) {
    guard openedOfVIP[address, default: 0] == 0 else { return }
    openedOfVIP[address] = nil
    try Self.delete(vips, address.mapKey, "closing the VIP \(address)")
  }

  /// Summed over all CPUs.
  var counters: ProgramCounters {
    ProgramCounters(
      services: sum(DIRECTOR_COUNTER_SERVICE), fragments: sum(DIRECTOR_COUNTER_FRAGMENT),
      icmpErrors: sum(DIRECTOR_COUNTER_ICMP_ERROR), withoutSocket: sum(DIRECTOR_COUNTER_NO_SOCKET),
      otherHost: sum(DIRECTOR_COUNTER_OTHER_HOST), malformed: sum(DIRECTOR_COUNTER_MALFORMED))
  }

  private func sum(_ counter: director_counter) -> UInt64 {
    var index = counter.rawValue
    var cells = [UInt64](repeating: 0, count: max(1, Int(libbpf_num_possible_cpus())))
    bpf_map_lookup_elem(counterMap, &index, &cells)
    return cells.reduce(0, &+)
  }
}

extension IPAddress {
  fileprivate var mapKey: director_vip_key {
    var key = director_vip_key()
    key.family = family
    withUnsafeMutableBytes(of: &key.address) { copyOctets(to: $0) }
    return key
  }

  fileprivate var family: UInt8 {
    switch self {
    case .v4: UInt8(DIRECTOR_FAMILY_IPV4)
    case .v6: UInt8(DIRECTOR_FAMILY_IPV6)
    }
  }

  /// The address in network order at the start of 16 octets.
  fileprivate func copyOctets(to octets: UnsafeMutableRawBufferPointer) {
    switch self {
    case .v4(let address):
      octets.storeBytes(of: address.rawValue.bigEndian, as: UInt32.self)
    case .v6(let address):
      octets.storeBytes(of: address.high.bigEndian, as: UInt64.self)
      octets.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
  }
}

extension VirtualPorts {
  /// Port 0 where they are many.
  var mapKey: director_service_key {
    var key = director_service_key()
    key.family = address.family
    withUnsafeMutableBytes(of: &key.address) { address.copyOctets(to: $0) }
    key.protocol = ipProtocol.rawValue
    key.port = isOne ? ports.lowerBound.rawValue.bigEndian : 0
    return key
  }
}

extension director_service_key {
  var slot: UInt32 { withUnsafePointer(to: self, director_slot) }
}

extension director_wide_ports {
  fileprivate init(_ ranges: Set<ClosedRange<Port>>) {
    self.init()
    withUnsafeMutableBytes(of: &words) { bytes in
      let words = bytes.bindMemory(to: UInt64.self)
      for range in ranges {
        for port in range.lowerBound.rawValue...range.upperBound.rawValue {
          words[Int(port) / 64] |= 1 << (port % 64)
        }
      }
    }
  }
}
