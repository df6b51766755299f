// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

#if !DEBUG
  /// What LVS sets by sysctls, a service of Martinet has as its policies: set alike, both do alike,
  /// to the TTL.
  extension Oracle {
    @Suite(.serialized) struct SettingTests {
      private static let web = "-t \(TwoDirectors.vip):80"
      private static let web6 = "-t [\(TwoDirectors.vip6)]:80"
      private static let clients = "-t \(TwoDirectors.vip):81"
      private static let association = "--sctp-service \(TwoDirectors.vip):2905"

      @Test func policiesDoWhatSysctlsDo() throws {
        let pair = try TwoDirectors([
          "sloppy_tcp": 1, "sloppy_sctp": 1, "expire_quiescent_template": 1,
        ])
        for service in [Self.web, Self.web6, Self.clients + " -p 300", Self.association] {
          try pair.ipvsadm("-A \(service) -s rr")
        }
        for service in [Self.web, Self.web6, Self.clients, Self.association] {
          for number in [151, 152] {
            let name = service == Self.web6 ? "[fd00:2::\(number)]:80" : "192.168.2.\(number)"
            try pair.ipvsadm("-a \(service) -r \(name)")
          }
          let quiescent = service == Self.clients ? " --quiescent-clients move" : ""
          try pair.martinet("service set \(service) --stray schedule --ttl decrement" + quiescent)
        }
        try Self.sendStrays(pair)
        try Self.sendToTheLastHop(pair)
        try pair.compareTables()
        try Self.quiesce(pair)
      }

      private static func agree(
        _ pair: TwoDirectors, _ packet: PacketBuilder, _ words: String, isForwarded: Bool = true
      ) throws {
        let outcomes = try pair.send(packet)
        #expect(outcomes.kernel == outcomes.martinet, "\(words): \(outcomes)")
        #expect((outcomes.kernel.realServer != nil) == isForwarded, "\(words): \(outcomes)")
      }

      /// `sloppy_tcp`: whatever is no reset; `sloppy_sctp`: whatever is no ABORT.
      private static func sendStrays(_ pair: TwoDirectors) throws {
        let flags: [TCPFlags] = [.ack, [.fin, .ack], [.psh, .ack], .syn, [], .fin]
        for (port, flags) in zip(UInt16(1)..., flags) {
          let packet = TwoDirectors.packet(from: port, flags: flags)
          try agree(pair, packet, "flags \(flags.rawValue)")
          try agree(pair, packet.with { $0.tcpFlags = .ack }, "after \(flags.rawValue)")
        }
        for (port, chunk) in zip(UInt16(1)..., [UInt8(0), 2, 7, 8, 9, 10, 11, 14]) {
          let packet = TwoDirectors.packet(from: port, to: 2905).sctp(sctpChunk(chunk))
          try agree(pair, packet, "chunk \(chunk)")
        }
        let reset = TwoDirectors.packet(from: 50, flags: .rst)
        try agree(pair, reset, "a reset", isForwarded: false)
      }

      /// `ttl: decrement` has no sysctl: LVS always does so.
      private static func sendToTheLastHop(_ pair: TwoDirectors) throws {
        let families = [("10.0.0.2", TwoDirectors.vip), ("fd00:10::2", TwoDirectors.vip6)]
        for (client, vip) in families {
          for flags in [TCPFlags.syn, .ack] {
            let packet = PacketBuilder(from: client, to: vip).onWire.with { $0.tcpFlags = flags }
            try agree(pair, packet.with { $0.timeToLive = 2 }, "two hops of \(client)")
            let last = try pair.send(packet.with { $0.timeToLive = 1 })
            #expect(last.kernel == .timeExceeded && last.martinet == .timeExceeded, "\(last)")
          }
        }
      }

      /// `expire_quiescent_template`: the client has another real server with its next connection.
      private static func quiesce(_ pair: TwoDirectors) throws {
        func next(_ port: UInt16) throws -> Int? {
          let packet = TwoDirectors.packet(from: port, to: 81)
          let outcomes = try pair.send(packet)
          #expect(outcomes.kernel == outcomes.martinet, "\(port): \(outcomes)")
          return outcomes.kernel.realServer
        }
        let first = try #require(try next(60))
        #expect(try next(61) == first)
        try pair.ipvsadm("-e \(clients) -r 192.168.2.\(first) -w 0")
        let second = try next(62)
        #expect(second == first ^ 151 ^ 152)
        #expect(try next(63) == second)
        let refused = try pair.lines(of: "TCP 10.0.0.2:0 \(TwoDirectors.vip):65535")
        #expect(refused.count == 1, "\(Deviation.refusedTemplate): \(refused)")
      }
    }
  }
#endif
