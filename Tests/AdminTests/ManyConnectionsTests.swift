// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane
import Foundation
import Synchronization
import TestSupport
import Testing

/// Listings over the control socket beside a worker that forwards: five million connections in
/// release, fewer in debug.
@Suite struct ManyConnectionsTests {
  #if DEBUG
    private static let connections = 20_000
    private static let entries = 1 << 16
  #else
    private static let connections = 5_000_000
    private static let entries = 1 << 23
  #endif
  private static let firstClient = IPv4Address("10.0.0.0")!.rawValue
  private static let frame = PacketBuilder(from: "10.0.0.0", to: "192.168.1.149").with {
    $0.ipProtocol = .udp
    $0.destinationPort = Port(53)
  }.frame

  @Test func eachConnectionIsListedOnceWhileTheWorkerForwards() async throws {
    let plane = try InProcessPlane(entries: 1 << 10, ipv4Entries: Self.entries)
    try await AdminDesk.serve(plane: plane) { desk in
      for line in [
        "--set 0 0 86400", "-A -u 192.168.1.149:53 -s rr",
        "-a -u 192.168.1.149:53 -r 192.168.1.151", "-a -u 192.168.1.149:53 -r 192.168.1.152",
      ] {
        #expect(await desk.ipvsadm(line) == .init())
      }
      let sent = fill(plane.desks[0])
      let path = desk.socketPath
      let listed = Mutex(Listed(clients: Int(sent)))
      let beside = await Traffic.run(plane.desks[0], Self.frame, first: Self.firstClient, sent) {
        progress in
        let client = ControlClient(socketPath: path, timeoutSeconds: 60)
        listed.withLock { $0.read(client, beside: progress) }
      }
      listed.withLock {
        #expect($0.failure == nil)
        #expect($0.count == Self.connections && $0.repeated == 0 && $0.strangers == 0)
        print(
          """
          \($0.count) connections in \($0.pages) pages and \($0.seconds) s; the worker forwarded \
          \(beside.packets) packets beside it, its slowest turn took \
          \(beside.slowestMicroseconds) µs, and \($0.pagesWithoutPackets) of the pages saw none
          """)
        // A listing that held the worker up would see none of its packets in any page; a busy
        // machine may give it no turn within some.
        #expect($0.pagesWithoutPackets <= $0.pages / 2)
      }
      #expect(beside.packets > 0 && beside.lost == 0)
      try await listWithCurl(path)
    }
  }

  /// What the API's own users do: a page after the other, the next one's place in a header field.
  private func listWithCurl(_ path: String) async throws {
    let script = """
      from=0
      while [[ -n $from ]]; do
        curl -sS --unix-socket "$1" -H 'Accept: text/csv' -D "$2" \\
          "http://martinet/v1/connections?limit=10000&from=$from" || exit
        from=$(sed -n 's/^Martinet-Next: \\([0-9]*\\).*/\\1/p' "$2")
      done | wc -l
      """
    let start = monotonicSeconds()
    let headers = path + ".headers"
    defer { unlink(headers) }
    let result = await onThread {
      try? Child.run(["bash", "-c", script, "bash", path, headers], seconds: 120)
    }
    #expect(result?.output == "\(Self.connections)\n")
    print("the same with curl in \(monotonicSeconds() - start) s")
  }

  /// Sends first packets until the table has so many connections. Where a line is full they are
  /// forwarded without a record. Returns how many clients there are.
  private func fill(_ desk: ForwarderDesk) -> UInt32 {
    var sent: UInt32 = 0
    while Int(desk.view.ipv4Connections) < Self.connections, sent < 1 << 23 {
      let rest = Self.connections - Int(desk.view.ipv4Connections)
      let count = UInt32(min(64, rest))
      let first = Self.firstClient + sent
      #expect(desk.forward(Self.frame, from: first..<first + count) == Int(count))
      sent += count
    }
    #expect(Int(desk.view.ipv4Connections) == Self.connections)
    return sent
  }

  /// What the pages held.
  private struct Listed {
    private var isListed: [Bool]
    var count = 0
    var repeated = 0
    var strangers = 0
    var pages = 0
    /// During which the worker forwarded nothing.
    var pagesWithoutPackets = 0
    var seconds = 0.0
    var failure: ControlError?

    init(clients: Int) { isListed = Array(repeating: false, count: clients) }

    mutating func read(_ client: ControlClient, beside progress: Progress) {
      let start = monotonicSeconds()
      var position: UInt64?
      do throws(ControlError) {
        repeat {
          let packets = progress.packets.load(ordering: .relaxed)
          let page = try client.connections(from: position)
          if progress.packets.load(ordering: .relaxed) == packets { pagesWithoutPackets += 1 }
          for connection in page.connections { note(connection) }
          pages += 1
          position = page.next
        } while position != nil
      } catch {
        failure = error
      }
      seconds = monotonicSeconds() - start
    }

    private mutating func note(_ connection: ConnectionReport) {
      count += 1
      let first = Int(ManyConnectionsTests.firstClient)
      guard case .v4(let address) = connection.clientAddress,
        case let number = Int(address.rawValue) - first,
        isListed.indices.contains(number), connection.state == "UDP"
      else {
        strangers += 1
        return
      }
      if isListed[number] { repeated += 1 }
      isListed[number] = true
    }
  }
}

/// What the thread that forwards and the one that lists tell each other.
private final class Progress: Sendable {
  let isOver = Atomic(false)
  let packets = Atomic(0)
}

/// Packets of known connections, over and over, in a thread of its own as a worker's: nothing in
/// its turns can wait for a reader, who only loads what it writes. A turn in half a millisecond
/// and more: one after the other would keep a processor from the listing.
private struct Traffic {
  var packets = 0
  var lost = 0
  var slowestMicroseconds = 0

  /// Runs while `body` does.
  static func run(
    _ desk: ForwarderDesk, _ frame: [UInt8], first: UInt32, _ clients: UInt32,
    while body: @escaping @Sendable (Progress) -> Void
  ) async -> Traffic {
    nonisolated(unsafe) let desk = desk
    let progress = Progress()
    async let traffic = onThread { forward(desk, frame, first: first, clients, progress) }
    await onThread { body(progress) }
    progress.isOver.store(true, ordering: .relaxed)
    return await traffic
  }

  private static func forward(
    _ desk: ForwarderDesk, _ frame: [UInt8], first: UInt32, _ clients: UInt32,
    _ progress: Progress
  ) -> Traffic {
    var traffic = Traffic()
    var place: UInt32 = 0
    while !progress.isOver.load(ordering: .relaxed) {
      let count = min(64, clients - place)
      let turn = monotonicSeconds()
      let forwarded = desk.forward(frame, from: first + place..<first + place + count)
      let microseconds = Int((monotonicSeconds() - turn) * 1_000_000)
      traffic.slowestMicroseconds = max(traffic.slowestMicroseconds, microseconds)
      traffic.packets += forwarded
      progress.packets.store(traffic.packets, ordering: .relaxed)
      traffic.lost += Int(count) - forwarded
      place = (place + count) % clients
      usleep(500)
    }
    return traffic
  }
}
