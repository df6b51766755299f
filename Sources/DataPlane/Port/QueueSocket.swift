// SPDX-License-Identifier: Apache-2.0
import CXDP
import Glibc

/// The kernel's own counters of one AF_XDP socket: `struct xdp_statistics`, linux/if_xdp.h.
public struct XDPStatistics: Sendable, Equatable {
  /// No frame to put a packet in, or a packet longer than a frame.
  public var rxDropped: UInt64 = 0
  public var rxInvalidDescriptors: UInt64 = 0
  public var txInvalidDescriptors: UInt64 = 0
  /// Packets lost because the worker was too slow.
  public var rxRingFull: UInt64 = 0
  public var fillRingEmpty: UInt64 = 0
  public var txRingEmpty: UInt64 = 0

  static func += (left: inout Self, right: Self) {
    left.rxDropped &+= right.rxDropped
    left.rxInvalidDescriptors &+= right.rxInvalidDescriptors
    left.txInvalidDescriptors &+= right.txInvalidDescriptors
    left.rxRingFull &+= right.rxRingFull
    left.fillRingEmpty &+= right.fillRingEmpty
    left.txRingEmpty &+= right.txRingEmpty
  }
}

/// Frames and ring entries of one queue of one interface.
struct QueueDepth: Equatable {
  /// All that the interface receives into, and entries of the fill and the completion ring: all fit
  /// into the fill ring, so that no other place for frames is needed. Nothing is sent for which the
  /// completion ring has no room (`xsk_cq_reserve…`, net/xdp/xsk.c): frames of other interfaces may
  /// come back by it too.
  var frameCount: UInt32
  /// Entries of the RX ring.
  var receiveEntries: UInt32

  /// The NIC's own ring is the limit, and its writes are to find their frames in the last-level
  /// cache (af-xdp-facts.md §1.3). Frames are twice the RX ring, or a burst finds the fill ring
  /// empty while the worker still reads the last one (§2.3).
  static let zeroCopy = QueueDepth(frameCount: 4096, receiveEntries: 2048)
  /// What a virtual machine's NIC mostly needs, whose CPU is taken away for up to 30 ms: as many
  /// packets as come meanwhile at 0.5 Mpps. The highest rate without loss on a veth is 0.87 Mpps,
  /// and 0.50 with the depth above; as much as goes 0.93 and 0.95, within the spread (bench/run
  /// wire). The price is 32 MiB where frames have 2 KiB, and 18 ms of waiting for who sends more
  /// than the worker can take.
  static let copy = QueueDepth(frameCount: 16384, receiveEntries: 16384)
}

/// How an AF_XDP socket is bound.
struct QueueBinding {
  var interface: String
  var queue: UInt32
  var isZeroCopy: Bool
  var depth: QueueDepth
  var chunkBytes: UInt32
  /// What is registered as the socket's UMEM; it must outlive the socket.
  var frames: UnsafeMutableRawPointer
  var frameBytes: UInt64
}

/// One AF_XDP socket bound to one receive queue, with its UMEM and four rings.
///
/// All frames are the caller's: the fill ring is empty at first. The owner unbinds by going out of
/// scope; nothing may touch the rings then.
///
/// The sockets of several interfaces have their frames in common, and each registers them as a UMEM
/// of its own. XDP_SHARED_UMEM would save the kernel's list of the pages and take away the choice:
/// zero copy would be all interfaces' or none's (`xp_assign_dev_shared`, net/xdp/xsk_buff_pool.c),
/// and before Linux 6.0 no wakeup flag would reach the second one.
struct QueueSocket: ~Copyable {
  /// Entries of the TX ring, which a worker fills by batches of 64 and has emptied after each.
  static let transmitEntries: UInt32 = 2048
  /// Frames that one wakeup may send in copy mode: four batches. The kernel's 32 would take two
  /// wakeups for each batch (af-xdp-facts.md §2.1), and as much as goes comes to 0.93 of the rate;
  /// with 64 it is 0.99, with 1024 0.97 (lanes of bench/run wire, 9 rounds).
  static let transmitBudget: Int32 = 256

  let queue: UInt32
  let fileDescriptor: Int32
  let chunkBytes: UInt32
  let isZeroCopy: Bool
  let hasTransmitBudget: Bool
  /// Base and octets of the UMEM.
  let frames: UnsafeMutableRawPointer
  let frameBytes: UInt64
  private let umem: OpaquePointer
  private let socket: OpaquePointer
  private let maps: RingMaps

  /// - Throws: the errno of the step that failed: EBUSY while another socket holds the queue.
  init(_ binding: QueueBinding) throws(Errno) {
    let maps = RingMaps()
    let umem = try Self.register(binding, maps)
    let socket: OpaquePointer
    do {
      socket = try Self.bind(binding, umem, maps)
    } catch {
      xsk_umem__delete(umem)
      throw error
    }
    queue = binding.queue
    chunkBytes = binding.chunkBytes
    fileDescriptor = xsk_socket__fd(socket)
    isZeroCopy = Self.isZeroCopy(fileDescriptor)
    hasTransmitBudget = Self.set(
      SOL_XDP, XDP_MAX_TX_SKB_BUDGET, Self.transmitBudget, fileDescriptor)
    // What is under way may be all that completions have room for; the default holds 277 small
    // frames. Needs CAP_NET_ADMIN, and without it only the peaks suffer.
    let underWay = Int32(binding.depth.frameCount * chunkBytes)
    _ = Self.set(SOL_SOCKET, SO_SNDBUFFORCE, underWay, fileDescriptor)
    frames = binding.frames
    frameBytes = binding.frameBytes
    self.umem = umem
    self.socket = socket
    self.maps = maps
  }

  deinit {
    // The mappings of the rings hold the queue, so they go first; the descriptor is the UMEM's.
    xsk_socket__delete(socket)
    xsk_umem__delete(umem)
  }

  private static func register(
    _ binding: QueueBinding, _ maps: borrowing RingMaps
  ) throws(Errno) -> OpaquePointer {
    var configuration = xsk_umem_config(
      fill_size: binding.depth.frameCount, comp_size: binding.depth.frameCount,
      frame_size: binding.chunkBytes, frame_headroom: 0, flags: 0)
    var umem: OpaquePointer?
    let status = xsk_umem__create(
      &umem, binding.frames, binding.frameBytes, maps.fill, maps.completion, &configuration)
    guard status == 0, let umem else { throw Errno(rawValue: -status) }
    return umem
  }

  private static func bind(
    _ binding: QueueBinding, _ umem: OpaquePointer, _ maps: borrowing RingMaps
  ) throws(Errno) -> OpaquePointer {
    var configuration = xsk_socket_config()
    configuration.rx_size = binding.depth.receiveEntries
    configuration.tx_size = transmitEntries
    // The program is ours to load and attach.
    configuration.libxdp_flags = UInt32(XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD)
    // One of the two is forced: without either the kernel falls back silently.
    configuration.bind_flags = UInt16(
      XDP_USE_NEED_WAKEUP | (binding.isZeroCopy ? XDP_ZEROCOPY : XDP_COPY))
    var socket: OpaquePointer?
    let status = xsk_socket__create(
      &socket, binding.interface, binding.queue, umem, maps.receive, maps.transmit, &configuration)
    guard status == 0, let socket else { throw Errno(rawValue: -status) }
    return socket
  }

  private static func set(
    _ level: Int32, _ option: Int32, _ value: Int32, _ descriptor: Int32
  ) -> Bool {
    withUnsafeBytes(of: value) {
      setsockopt(descriptor, level, option, $0.baseAddress, socklen_t($0.count)) == 0
    }
  }

  private static func isZeroCopy(_ descriptor: Int32) -> Bool {
    var options = xdp_options()
    var size = socklen_t(MemoryLayout<xdp_options>.size)
    getsockopt(descriptor, SOL_XDP, XDP_OPTIONS, &options, &size)
    return options.flags & UInt32(XDP_OPTIONS_ZEROCOPY) != 0
  }

  var fill: RingMemory { RingMemory(maps.fill.pointee) }
  var completion: RingMemory { RingMemory(maps.completion.pointee) }
  var receive: RingMemory { RingMemory(maps.receive.pointee) }
  var transmit: RingMemory { RingMemory(maps.transmit.pointee) }

  /// The kernel's counters since the bind; zeroes once the interface is gone.
  var statistics: XDPStatistics {
    var counters = xdp_statistics()
    var size = socklen_t(MemoryLayout<xdp_statistics>.size)
    getsockopt(fileDescriptor, SOL_XDP, XDP_STATISTICS, &counters, &size)
    return XDPStatistics(
      rxDropped: counters.rx_dropped, rxInvalidDescriptors: counters.rx_invalid_descs,
      txInvalidDescriptors: counters.tx_invalid_descs, rxRingFull: counters.rx_ring_full,
      fillRingEmpty: counters.rx_fill_ring_empty_descs, txRingEmpty: counters.tx_ring_empty_descs)
  }
}

/// An error number of a system call.
struct Errno: Error, RawRepresentable, Equatable {
  var rawValue: Int32
}

/// Where libxdp writes down the rings it maps; it keeps these addresses, so they stay.
private struct RingMaps: ~Copyable {
  let fill: UnsafeMutablePointer<xsk_ring_prod>
  let completion: UnsafeMutablePointer<xsk_ring_cons>
  let receive: UnsafeMutablePointer<xsk_ring_cons>
  let transmit: UnsafeMutablePointer<xsk_ring_prod>

  init() {
    fill = .allocate(capacity: 2)
    fill.initialize(repeating: xsk_ring_prod(), count: 2)
    transmit = fill + 1
    completion = .allocate(capacity: 2)
    completion.initialize(repeating: xsk_ring_cons(), count: 2)
    receive = completion + 1
  }

  deinit {
    fill.deallocate()
    completion.deallocate()
  }
}

extension RingMemory {
  fileprivate init(_ ring: xsk_ring_prod) {
    self.init(
      producer: ring.producer, consumer: ring.consumer, flags: ring.flags,
      descriptors: ring.ring, entries: ring.size)
  }

  fileprivate init(_ ring: xsk_ring_cons) {
    self.init(
      producer: ring.producer, consumer: ring.consumer, flags: ring.flags,
      descriptors: ring.ring, entries: ring.size)
  }
}
