// SPDX-License-Identifier: Apache-2.0
import CXDP
import Glibc

/// An interface with the program loaded and a socket bound to each of its receive queues.
///
/// Packets arrive from `attach` on. The frames must outlive it. All calls come from one thread at a
/// time; the sockets' rings are their workers'. Going out of scope detaches and closes everything.
struct OpenPort: ~Copyable {
  /// How long another owner of a queue may take to go away: the kernel frees a queue 20 ms after
  /// its socket was closed (af-xdp-facts.md §4).
  private static let bindMilliseconds: Int32 = 1000
  private static let retryMicroseconds: UInt32 = 10_000

  // First, so that it goes first.
  private var link: ProgramLink
  let description: InterfaceDescription
  /// One per queue, in order.
  let sockets: UniqueArray<QueueSocket>
  private var program: DirectorProgram

  /// Opens everything in the caller's network namespace and lets no packet in yet.
  ///
  /// - Parameter frames: of each queue that gets a socket, in chunks of `chunkBytes`.
  init(
    _ interface: Interface, _ configuration: PortConfiguration,
    frames: borrowing UniqueArray<SharedMemory>, depth: QueueDepth, chunkBytes: UInt32
  ) throws(PortError) {
    let program = try DirectorProgram(macAddress: interface.macAddress)
    let isZeroCopy = try configuration.isZeroCopy()
    let sockets = try UniqueArray<QueueSocket>(
      count: frames.count
    ) { queue throws(PortError) in
      let socket = try Self.openQueue(
        QueueBinding(
          interface: interface.name, queue: UInt32(queue), isZeroCopy: isZeroCopy,
          depth: depth, chunkBytes: chunkBytes, frames: frames[queue].pointee.base,
          frameBytes: UInt64(frames[queue].pointee.byteCount)))
      try program.setSocket(socket.fileDescriptor, queue: UInt32(queue))
      return socket
    }
    description = InterfaceDescription(
      name: interface.name, index: interface.index, macAddress: interface.macAddress,
      mtu: interface.mtu, queueCount: sockets.count, xdpMode: configuration.xdpMode,
      isZeroCopy: sockets[0].pointee.isZeroCopy,
      hasTransmitBudget: sockets[0].pointee.hasTransmitBudget)
    self.sockets = sockets
    self.program = program
    link = ProgramLink()
  }

  /// The `director_admission` of a queue, as long as this value lives.
  func admission(of queue: Int) -> UnsafeMutableRawPointer { program.admissions[queue] }

  /// Lets the packets of services in. The last step: every worker runs.
  mutating func attach() throws(PortError) { try link.attach(program, to: description) }

  /// Lets no more packets in; the kernel sees them again.
  mutating func detach() { link.detach() }

  /// As `DirectorProgram.open`.
  mutating func open(_ ports: VirtualPorts) throws(PortError) { try program.open(ports) }

  /// As `DirectorProgram.close`.
  mutating func close(_ ports: VirtualPorts) throws(PortError) { try program.close(ports) }

  /// The interface has another MAC address.
  mutating func setMACAddress(_ macAddress: MACAddress) throws(PortError) {
    try program.setMACAddress(macAddress)
  }

  /// What the program decided, summed over all CPUs.
  var counters: ProgramCounters { program.counters }

  private static func openQueue(_ binding: QueueBinding) throws(PortError) -> QueueSocket {
    let deadline = Tick.now().advanced(byMilliseconds: UInt32(bindMilliseconds))
    while true {
      do throws(Errno) {
        return try QueueSocket(binding)
      } catch {
        guard error.rawValue == EBUSY, deadline.milliseconds(since: .now()) > 0 else {
          throw bindError(error.rawValue, binding)
        }
      }
      usleep(retryMicroseconds)
    }
  }

  private static func bindError(
    _ code: Int32, _ binding: QueueBinding
  ) -> PortError {
    let queue = "queue \(binding.queue) of \(binding.interface)"
    switch code {
    case EBUSY:
      return PortError(
        .busy,
        "another program owns \(queue), perhaps another martinet; stop it and try again")
    case EAFNOSUPPORT:
      return PortError(
        .unsupported, "the kernel has no AF_XDP sockets; it needs CONFIG_XDP_SOCKETS=y")
    case EOPNOTSUPP where binding.isZeroCopy:
      return PortError(
        .unsupported,
        "the driver of \(binding.interface) has no zero copy; --copy lets the kernel copy packets")
    case ENETDOWN:
      return PortError(
        .unsupported,
        "\(binding.interface) is down; `ip link set \(binding.interface) up`")
    case ENOBUFS:
      return PortError(
        .exhausted,
        "the locked memory limit is too low for \(queue); raise it (`ulimit -l unlimited`), or run "
          + "with the capability CAP_IPC_LOCK")
    default:
      return .system("binding an AF_XDP socket to \(queue)", code)
    }
  }
}
