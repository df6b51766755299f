// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

#if !DEBUG
  /// SCTP associations to both directors, chunk by chunk.
  extension Oracle {
    @Suite(.serialized) struct AssociationTests {
      private static let service = "--sctp-service \(TwoDirectors.vip):2905"
      private static let initiation = sctpChunk(1, [UInt8](repeating: 1, count: 16))

      private static func packet(_ port: UInt16, _ chunks: [UInt8]...) -> PacketBuilder {
        TwoDirectors.packet(.sctp, from: port, to: 2905).with {
          $0.payload = chunks.flatMap { $0 }
        }
      }

      private static func opened() throws -> TwoDirectors {
        let pair = try TwoDirectors()
        try pair.ipvsadm("-A \(service) -s rr")
        try pair.ipvsadm("-a \(service) -r 192.168.2.151")
        try pair.ipvsadm("-a \(service) -r 192.168.2.152")
        return pair
      }

      /// An INIT and every pair of the chunks that count, each on a port of its own: the same real
      /// server for every packet, and the same states, times and counts in the tables.
      @Test func everyPairOfChunksAfterAnInit() throws {
        let pair = try Self.opened()
        let types: [UInt8] = [0, 1, 2, 6, 7, 8, 9, 10, 11, 14]
        for (row, first) in types.enumerated() {
          for (column, second) in types.enumerated() {
            let port = UInt16(1000 + row * 10 + column)
            for chunk in [Self.initiation, sctpChunk(first), sctpChunk(second)] {
              try pair.agree(on: Self.packet(port, chunk), "chunks \(first), \(second)")
            }
          }
          // Some states last four seconds.
          if row % 5 == 4 { try pair.compareTables("pairs that begin with up to chunk \(first)") }
        }
      }

      /// Bundles, and what is no whole chunk.
      @Test func bundlesAndStumps() throws {
        let pair = try Self.opened()
        let abort = sctpChunk(6)
        let packets = [
          [sctpChunk(10, [7, 7, 7]), abort], [sctpChunk(10), sctpChunk(0), abort],
          [sctpChunk(10, length: 0), abort], [sctpChunk(10, length: .max), abort],
          [sctpChunk(11), abort], [sctpChunk(3), abort], [abort, sctpChunk(10)],
          [sctpChunk(10), [6, 0]], [[6, 0, 0]], [], [sctpChunk(200)],
        ]
        for (number, chunks) in packets.enumerated() {
          let port = UInt16(1000 + number)
          for packet in [Self.packet(port, Self.initiation), Self.packet(port, sctpChunk(10))] {
            try pair.agree(on: packet, "before \(chunks)")
          }
          try pair.agree(
            on: Self.packet(port).with { $0.payload = chunks.flatMap { $0 } }, "\(chunks)")
          // The same to an association that has not begun yet.
          let later = port + 100
          try pair.agree(on: Self.packet(later, Self.initiation), "before \(chunks)")
          try pair.agree(
            on: Self.packet(later).with { $0.payload = chunks.flatMap { $0 } }, "\(chunks)")
        }
        try pair.compareTables()
      }

      /// The kernel's own stack, which has no SCTP here, answers what is left to it.
      @Test func whatBeginsNoAssociation() throws {
        let pair = try Self.opened()
        for type in UInt8(0)...15 where type != 1 {
          let outcomes = try pair.send(Self.packet(UInt16(1000) + UInt16(type), sctpChunk(type)))
          #expect(outcomes.martinet == .nothing)
          if case .forwarded = outcomes.kernel { Issue.record("chunk \(type): \(outcomes)") }
        }
        let counts = try pair.connectionCounts()
        #expect(counts.kernel == counts.martinet)
        for realServer in [151, 152] {
          try pair.ipvsadm("-d \(Self.service) -r 192.168.2.\(realServer)")
        }
        let unserved = try pair.send(Self.packet(2000, Self.initiation))
        #expect(unserved.kernel == .portUnreachable && unserved.martinet == .portUnreachable)
      }
    }
  }

  extension TwoDirectors {
    /// Both send the packet to the same real server.
    fileprivate func agree(
      on packet: PacketBuilder, _ moment: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let outcomes = try send(packet)
      guard case .forwarded = outcomes.kernel, outcomes.kernel.isSame(as: outcomes.martinet) else {
        Issue.record("\(moment): \(outcomes)", sourceLocation: sourceLocation)
        return
      }
    }
  }
#endif
