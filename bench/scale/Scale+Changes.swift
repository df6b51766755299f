// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import DataPlane
import Logging

extension Scale {
  private static let sizes = [1, 100, 1000, 10_000]
  private static let smokeSizes = [1, 1000]

  /// The weights of all real servers of a service change while a worker forwards: how long until it
  /// acts on that, as a reload of the configuration file would have it, and what it notices.
  func measureChanges(_ report: Report) async throws {
    for count in report.isSmoke ? Self.smokeSizes : Self.sizes {
      report.progress("change-\(count)")
      let plane = try ScalePlane(connections: report.isSmoke ? 1000 : 100_000)
      let director = Director(
        plane: plane, neighbors: KnownNeighbors(),
        logger: Logger(label: "scale") { _ in SwiftLogNoOpLogHandler() })
      plane.start()
      try await director.apply(Self.site(count, weight: 1))
      try await director.settle()
      var (milliseconds, adopting, others) = ([Double](), [Double](), [Double]())
      for round in 0...report.rounds {
        let site = Self.site(count, weight: UInt32(2 + round % 2))
        let clock = ContinuousClock()
        let time = try await clock.measure {
          try await director.apply(site)
          try await director.settle()
        }
        try await Task.sleep(for: .milliseconds(20))
        let turns = plane.takeLongestTurns()
        // The first round warms up.
        guard round > 0 else { continue }
        milliseconds.append(time / .milliseconds(1))
        adopting.append(turns.adopting)
        others.append(turns.others)
      }
      plane.stop()
      report.add("change-\(count)", "until workers use it", "ms", milliseconds)
      report.add(
        "change-\(count)", "the adopting turn", "us", adopting, peer: "longest of 64 other turns",
        peerSamples: others)
    }
  }

  private static func site(_ count: Int, weight: UInt32) -> SiteConfiguration {
    let key = VirtualServiceKey(
      address: .v4(IPv4Address(rawValue: Site.firstVIP)), ipProtocol: .tcp, port: Port(Site.port))
    var site = SiteConfiguration(ports: [PortConfiguration(interface: "none")])
    site.tables = [
      SiteConfiguration.ServiceTable(
        service: ServiceConfiguration(key: key, scheduler: .wrr),
        realServers: (0..<count).map {
          RealServerConfiguration(
            address: .v4(IPv4Address(rawValue: 0xc0a9_0001 + UInt32($0))), port: Port(Site.port),
            weight: weight)
        })
    ]
    return site
  }
}
