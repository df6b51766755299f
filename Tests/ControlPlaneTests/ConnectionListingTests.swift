// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

@Suite struct ConnectionListingTests {
  /// All pages one after the other.
  private func listed(
    _ desk: Desk, _ filter: ConnectionFilter = ConnectionFilter(), limit: Int = 1000
  ) async throws -> [ConnectionStatus] {
    let listing = try await desk.director.connectionListing(filter)
    var listed: [ConnectionStatus] = []
    var position: ConnectionPosition?
    repeat {
      let page = listing.page(from: position, limit: limit)
      #expect(page.connections.count <= limit)
      listed += page.connections
      position = page.next
    } while position != nil
    var count = 0
    repeat {
      let part = listing.count(from: position)
      count += part.connections
      position = part.next
    } while position != nil
    #expect(count == listed.count)
    return listed
  }

  @Test(arguments: [1, 7, 40, 41]) func pagesHoldEachConnectionOnce(limit: Int) async throws {
    let desk = try Desk(workers: 2)
    try await desk.addWeb()
    for port in UInt16(1)...40 {
      _ = desk.destination(syn(port), worker: Int(port % 2))
      _ = desk.destination(ack(port), worker: Int(port % 2))
    }
    let listed = try await listed(desk, limit: limit)
    #expect(listed.map(\.clientPort).sorted() == (1...40).map { Port($0) })
    #expect(listed.allSatisfy { $0.state == .connection(.established) && $0.service == .web })
    // The forwarders' clock stood at the start; what is over and what is left make the timeout.
    #expect(listed.allSatisfy { (899...900).contains($0.remainingSeconds + $0.idleSeconds) })
    let listing = try await desk.director.connectionListing()
    for made in [UInt64.max, 5 << 48, 1 << 47] {
      let page = listing.page(from: ConnectionPosition(rawValue: made), limit: 100)
      #expect(page.connections.count <= 20 && page.next == nil)
    }
  }

  /// A listing of a table that is larger than one call looks at: pages without connections.
  @Test func callsAreBounded() async throws {
    let desk = try Desk(workers: 2, entries: ConnectionListing.recordLimit)
    try await desk.addWeb()
    for port in UInt16(1)...8 {
      for flags in [syn(port), ack(port)] { _ = desk.destination(flags, worker: 1) }
    }
    let listing = try await desk.director.connectionListing()
    let first = listing.page(limit: 1)
    #expect(first.connections.isEmpty && first.next != nil)
    #expect(try await listed(desk, limit: 3).count == 8)
  }

  @Test func filtersTakeWhatTheySay() async throws {
    let desk = try Desk()
    let director = desk.director
    try await director.addService(
      ServiceConfiguration(
        key: .web, scheduler: .rr, persistence: Persistence(timeoutSeconds: 600, mask: nil)))
    try await director.addService(ServiceConfiguration(key: .dns, scheduler: .rr))
    try await director.addRealServer(.number(1), to: .web)
    var second = RealServerConfiguration.number(2)
    second.port = Port(53)
    try await director.addRealServer(second, to: .dns)
    try await director.settle()
    for port in UInt16(1)...3 { _ = desk.destination(syn(port)) }
    _ = desk.destination(ack(3))
    let query = PacketBuilder(from: "10.0.1.9", to: "192.168.1.149").with {
      $0.ipProtocol = .udp
      $0.destinationPort = Port(53)
    }
    _ = desk.destination(query)

    func ports(_ filter: ConnectionFilter) async throws -> [UInt16] {
      try await listed(desk, filter).map(\.clientPort.rawValue).sorted()
    }
    // 0 is the client that the persistent service remembers.
    #expect(try await ports(.init()) == [0, 1, 2, 3, 40000])
    #expect(try await ports(.init(service: .web)) == [0, 1, 2, 3])
    #expect(try await ports(.init(service: .dns)) == [40000])
    #expect(try await ports(.init(realServer: second.address)) == [40000])
    #expect(try await ports(.init(service: .web, realServer: second.address)) == [])
    #expect(try await ports(.init(clients: AddressPrefix("10.0.1.0/24"))) == [40000])
    #expect(try await ports(.init(clients: AddressPrefix("10.0.0.0/23"))).count == 5)
    #expect(try await ports(.init(clients: AddressPrefix("::/0"))) == [])
    #expect(try await ports(.init(states: [.connection(.established)])) == [3])
    #expect(
      try await ports(.init(states: [.template(isAssured: true), .connection(.udp)]))
        == [0, 40000])
    #expect(try await ports(.init(states: [.connection(.synReceived)])) == [1, 2])
    #expect(try await ports(.init(idleSeconds: 0...300)).count == 5)
    #expect(try await ports(.init(idleSeconds: 300...UInt32.max)) == [])
    // Of a timeout that is longer now more seems to be over.
    try await director.setTimeouts(TimeoutConfiguration(tcp: 5000, tcpFin: 0, udp: 0))
    #expect(try await ports(.init(idleSeconds: 4100...5000)) == [3])
  }

  @Test func whatIsNotThereIsNamed() async throws {
    let desk = try Desk()
    try await desk.addWeb()
    await #expect(throws: DirectorError.noSuchService(.dns)) {
      try await desk.director.connectionListing(ConnectionFilter(service: .dns))
    }
    let stranger = IPAddress("192.168.1.159")!
    await #expect(throws: DirectorError.unknownRealServer(stranger)) {
      try await desk.director.connectionListing(ConnectionFilter(realServer: stranger))
    }
    // A removed real server has connections still; a new one is known at once.
    let removed = RealServerConfiguration.number(1)
    _ = desk.destination(syn(1))
    _ = desk.destination(syn(2))
    try await desk.director.deleteRealServer(removed.address, port: Port(80), from: .web)
    #expect(try await listed(desk, ConnectionFilter(realServer: removed.address)).count == 1)
    try await desk.director.addRealServer(.number(9), to: .web)
    #expect(try await listed(desk, ConnectionFilter(realServer: stranger)).isEmpty)
  }
}
