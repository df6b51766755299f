// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Foundation
import TestSupport
import Testing

/// The kernel's IPVS was asked which real server each of some thousand packets gets, for every
/// scheduler but `twos`, which draws lots: Fixtures/schedulers.txt says what it answered,
/// Fixtures/record-schedulers how it was asked. Martinet must answer alike.
@Suite struct RecordedSchedulingTests {
  struct Script: CustomTestStringConvertible {
    var testDescription: String
    var steps: [[Substring]]
  }

  /// One per service in the recording.
  static let scripts: [Script] = {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/schedulers.txt")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    var scripts: [Script] = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      if line.hasPrefix("service") {
        scripts.append(Script(testDescription: String(line), steps: []))
      }
      scripts[scripts.count - 1].steps.append(line.split(separator: " "))
    }
    return scripts
  }()

  @Test func theRecordingIsWhole() {
    #expect(Self.scripts.count == 36)
    #expect(Self.scripts.reduce(0) { $0 + $1.steps.count } > 8200)
  }

  @Test(arguments: scripts) func choosesAsTheKernelDid(_ script: Script) throws {
    let desk = try ForwarderDesk(entries: 1 << 12)
    var specification = SnapshotSpecification(egressMACAddresses: [.director])
    // Connections outlive the days of the script.
    for state in [ConnectionState.synReceived, .established] {
      specification.timeouts[state] = 20 * 86_400
    }
    specification.timeouts[.finWait] = 1
    var wrong: [String] = []
    for (number, step) in script.steps.enumerated() {
      let name = try #require(step.first)
      switch name {
      case "service":
        let ipProtocol = script.steps.contains { $0[0] == "syn" } ? IPProtocol.tcp : .udp
        specification.services = [try Self.service(step, ipProtocol)]
        try desk.adopt(specification)
      case "real":
        try Self.set(step, in: &specification.services[0])
        let number = try #require(UInt16(step[1]))
        specification.retirements[RealServerIndex(rawValue: number)] = nil
        try desk.adopt(specification)
      case "gone":
        try Self.remove(step, from: &specification)
        try desk.adopt(specification)
      case "wait":
        desk.sweepAll()
      case "half":
        desk.advance(seconds: 43_200.5)
      default:
        let answer = desk.forward(try Self.packet(step, to: specification.services[0].key))
        let chosen = answer.verdict.isForward ? Int(answer.frame[5]) : 0
        if step.count == 4, String(chosen) != step[3] {
          wrong.append("\(number): \(step.joined(separator: " ")), here \(chosen)")
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count) wrong, first \(wrong.prefix(5))")
  }

  /// `service NAME FLAGS PORT FAMILY`
  private static func service(
    _ step: [Substring], _ ipProtocol: IPProtocol
  ) throws -> SnapshotSpecification.Service {
    var flags: SchedulerFlags = []
    if step[2].contains("fallback") { flags.insert(.fallback) }
    if step[2].contains("port") { flags.insert(.port) }
    let isIPv6 = step[4] == "6"
    return SnapshotSpecification.Service(
      index: ServiceIndex(rawValue: 1),
      key: VirtualServiceKey(
        address: IPAddress(isIPv6 ? "2001:db8::149" : "192.168.1.149")!, ipProtocol: ipProtocol,
        port: Port(try #require(UInt16(step[3])))),
      scheduler: try #require(Scheduler(rawValue: String(step[1]))), flags: flags, revision: 1,
      realServers: [])
  }

  /// `real NUMBER WEIGHT UPPER LOWER` adds at the head of the list, or edits.
  private static func set(
    _ step: [Substring], in service: inout SnapshotSpecification.Service
  ) throws {
    let values = step.dropFirst().compactMap { UInt32($0) }
    let isIPv6 = if case .v6 = service.key.address { true } else { false }
    var realServer = SnapshotSpecification.RealServer.number(UInt8(values[0]), weight: values[1])
    realServer.address = IPAddress("\(isIPv6 ? "2001:db8::" : "192.168.1.")\(150 + values[0])")!
    realServer.upperThreshold = values[2]
    realServer.lowerThreshold = values[3]
    service.revision += 1
    guard let place = service.realServers.firstIndex(where: { $0.index == realServer.index })
    else { return service.realServers.insert(realServer, at: 0) }
    if values[1] == 0 { realServer.lastWeight = service.realServers[place].lastWeight }
    service.realServers[place] = realServer
  }

  /// `gone NUMBER`
  private static func remove(
    _ step: [Substring], from specification: inout SnapshotSpecification
  ) throws {
    let index = RealServerIndex(rawValue: try #require(UInt16(step[1])))
    specification.services[0].realServers.removeAll { $0.index == index }
    specification.services[0].revision += 1
    specification.retirements[index] = .removed
  }

  /// `udp`, `syn`, `ack` or `fin`, client address and port.
  private static func packet(
    _ step: [Substring], to key: VirtualServiceKey
  ) throws -> PacketBuilder {
    let port = try #require(UInt16(step[2]))
    return PacketBuilder(from: String(step[1]), to: "\(key.address)").with {
      $0.sourcePort = Port(port)
      $0.destinationPort = key.port
      $0.ipProtocol = step[0] == "udp" ? .udp : .tcp
      $0.tcpFlags = step[0] == "syn" ? .syn : step[0] == "ack" ? .ack : [.fin, .ack]
    }
  }
}
