// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

#if !DEBUG
  /// keepalived's checker over the kernel's IPVS, and Martinet, are told the same of the same real
  /// servers by files; what they make of quorum, hysteresis and sorry server is alike.
  extension Oracle {
    @Suite(.serialized, .requires(.commands("keepalived"))) struct QuorumTests {
      /// Real servers by number, with their weights; port 80 takes out what is down, port 81 gives
      /// it weight 0.
      private static let weights = [151: 2, 152: 1, 153: 1, 154: 1]
      private static let ports = [80, 81]
      private static let folder =
        NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString

      /// Who is up, one more or less each time, and whether that is a quorum of 3 with a hysteresis
      /// of 1: lost below 2, gained at 4 (`update_quorum_state` of keepalived/check/ipwrapper.c).
      private static let steps: [(up: Set<Int>, hasQuorum: Bool)] = [
        ([151, 152, 153, 154], true), ([152, 153, 154], true), ([152, 153], true), ([152], false),
        ([151, 152], false), ([151, 152, 153], true), ([151, 153], true), ([153], false),
        ([], false), ([151], false),
      ]

      @Test func bothHoldWithTheSameRule() throws {
        let kernel = try #require(KernelDirector.shared)
        try kernel.reset([:])
        let wire = try Wire(realServers: Array(151...159))
        try FileManager.default.createDirectory(
          atPath: Self.folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: Self.folder) }
        try Self.martinetFile.write(
          toFile: Self.folder + "/martinet.yaml", atomically: true, encoding: .utf8)
        try Self.keepalivedFile.write(
          toFile: Self.folder + "/keepalived.conf", atomically: true, encoding: .utf8)
        let martinet = try RunningDirector(
          on: wire.director, ["--config", Self.folder + "/martinet.yaml"])
        let names = Self.weights.keys.flatMap { number in Self.ports.map { "\(number).\($0)" } }
        try kernel.run(
          "mkdir -p /run/alive && cd /run/alive && touch \(names.joined(separator: " "))")
        try Self.set(Self.steps[0].up, kernel)
        try kernel.run(
          """
          keepalived --check --dont-fork --log-console -f \(Self.folder)/keepalived.conf \
            -p /run/keepalived.pid -c /run/checkers.pid >/run/keepalived.log 2>&1 &
          """)
        defer { _ = try? kernel.run("kill $(cat /run/keepalived.pid); wait") }
        for (number, step) in Self.steps.enumerated() {
          try Self.set(step.up, kernel)
          var (kernels, martinets) = (Findings(), Findings())
          let isAlike = try waitUntil(seconds: 15) {
            (kernels, martinets) = (try Self.findings(of: kernel), try Self.findings(of: martinet))
            return kernels == martinets && martinets.up == step.up
              && martinets.quorums == [step.hasQuorum, step.hasQuorum]
          }
          let log = try kernel.run("cat /run/keepalived.log")
          #expect(isAlike, "step \(number): keepalived \(kernels), Martinet \(martinets)\n\(log)")
          #expect(kernels.listing.contains(" 192.168.2.15"), "\(kernels)")
        }
      }

      /// Martinet's checks look for a file, keepalived's for a number in one of the guest's own.
      private static func set(_ up: Set<Int>, _ kernel: KernelDirector) throws {
        for number in weights.keys {
          let path = "\(folder)/up.\(number)"
          if up.contains(number) {
            try "".write(toFile: path, atomically: false, encoding: .utf8)
          } else {
            try? FileManager.default.removeItem(atPath: path)
          }
        }
        try kernel.run(
          weights.keys.map { "echo \(up.contains($0) ? 0 : -2147483648) >/run/up.\($0)" }
            .joined(separator: "\n"))
      }

      /// What a director says: who is up, which services have their quorum, and the table.
      private struct Findings: Equatable {
        var up: Set<Int> = []
        var quorums: [Bool] = []
        var listing = ""
      }

      private static func findings(of kernel: KernelDirector) throws -> Findings {
        let files = try kernel.run("echo /run/alive/*").split(whereSeparator: \.isWhitespace)
          .map { $0.dropFirst("/run/alive/".count) }
        return Findings(
          up: Set(
            weights.keys.filter { number in
              ports.allSatisfy { files.contains("\(number).\($0)") }
            }), quorums: ports.map { files.contains("quorum.\($0)") },
          listing: table(try kernel.run("ipvsadm -Ln")))
      }

      private static func findings(of martinet: RunningDirector) throws -> Findings {
        let services = try martinet.table().services.sorted { $0.service.port < $1.service.port }
        let up = weights.keys.filter { number in
          services.allSatisfy { service in
            service.realServers.contains {
              "\($0.realServer.address)" == "192.168.2.\(number)" && $0.health?.isUp == true
            }
          }
        }
        return Findings(
          up: Set(up), quorums: services.map { $0.hasQuorum == true },
          listing: table(try martinet.ipvsadm("-Ln")))
      }

      /// Without the banner, which says the size of the connection table.
      private static func table(_ text: String) -> String {
        text.split(separator: "\n").dropFirst().joined(separator: "\n")
      }

      private static var martinetFile: String {
        let realServers = weights.sorted { $0.key < $1.key }.map { number, weight in
          """
            - address: 192.168.2.\(number)
              weight: \(weight)
              checks:
              - kind: command
                command: /usr/bin/test -e \(folder)/up.\(number)
                interval: 0.2
                rise: 1
                fall: 1
          """
        }
        let services = ports.map { port in
          """
          - vip: \(TwoDirectors.vip)
            protocol: tcp
            port: \(port)
            scheduler: rr
            health:
              quorum: 3
              hysteresis: 1
              sorry-server: 192.168.2.159
              on-failure: \(port == 80 ? "remove" : "inhibit")
            real-servers:
          \(realServers.joined(separator: "\n"))
          """
        }
        return """
          interface: {name: lan0, copy-mode: copy}
          services:
          \(services.joined(separator: "\n"))

          """
      }

      /// What it is told to touch and remove says what it found.
      private static var keepalivedFile: String {
        let services = ports.map { port in
          let realServers = weights.sorted { $0.key < $1.key }.map { number, weight in
            """
              real_server 192.168.2.\(number) \(port) {
                weight \(weight)
                \(port == 80 ? "" : "inhibit_on_failure")
                notify_up "/bin/touch /run/alive/\(number).\(port)"
                notify_down "/bin/rm -f /run/alive/\(number).\(port)"
                FILE_CHECK {
                  track_file up\(number)
                  weight 1
                }
              }
            """
          }
          return """
            virtual_server \(TwoDirectors.vip) \(port) {
              lvs_sched rr
              lvs_method DR
              protocol TCP
              quorum 3
              hysteresis 1
              quorum_up "/bin/touch /run/alive/quorum.\(port)"
              quorum_down "/bin/rm -f /run/alive/quorum.\(port)"
              sorry_server 192.168.2.159 \(port)
              \(port == 80 ? "" : "sorry_server_inhibit")
            \(realServers.joined(separator: "\n"))
            }
            """
        }
        let files = weights.keys.map { "track_file up\($0) {\nfile /run/up.\($0)\n}" }
        return """
          global_defs {
            script_user root
            enable_script_security
          }
          \(files.joined(separator: "\n"))
          \(services.joined(separator: "\n"))

          """
      }
    }
  }
#endif
