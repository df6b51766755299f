// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// The director's tables as text, byte for byte as ipvsadm 1.31 prints them.
public struct TableText: Sendable {
  private let names: NameService

  /// `NameService.none` is ipvsadm's `-n`.
  public init(names: NameService) { self.names = names }

  /// The first line of `-L`: the version is the one of the IPVS interface whose text this is,
  /// `connectionCapacity` how many connections there is room for.
  public static func banner(connectionCapacity: Int) -> String {
    "IP Virtual Server version 1.2.1 (size=\(connectionCapacity))\n"
  }

  /// `-L` without its banner. What ipvsadm has no word for stands at the end of a line: a real
  /// server that does not answer on the LAN, and so gets no new connections, is `unresolved`.
  public func services(
    _ services: [ServiceReport], columns: Listing.Columns, isSorted: Bool
  ) -> String {
    var text = Self.title(columns)
    for service in isSorted ? Self.sorted(services) : services {
      let shown = listedName(service.service)
      text += shown + Self.cells(of: service, columns, width: max(0, 33 - shown.utf8.count)) + "\n"
      let servers = service.realServers.filter(\.isMember)
      for server in isSorted ? Self.sorted(servers) : servers {
        let address = server.realServer.address
        let name = anyName(address, server.realServer.port, service.service.ipProtocol)
        text += "  -> " + padded(Self.cut(name, 28, of: address), 28)
        text += Self.cells(of: server, columns) + "\n"
      }
    }
    return text
  }

  /// `-S`: sorted, services before their real servers.
  public func rules(_ services: [ServiceReport]) -> String {
    var text = ""
    for service in Self.sorted(services) {
      let name = optionName(service.service)
      let flags = service.flags.ipvsadmNames(for: service.scheduler)
      text += "-A \(name) -s \(service.scheduler.rawValue)"
      if let persistence = service.persistence {
        text += " -p \(persistence.timeoutSeconds)"
        if let mask = persistence.ipvsadmMask { text += " -M \(mask)" }
      }
      text += (service.isOnePacket ? " -o" : "") + (flags.isEmpty ? "" : " -b \(flags)") + "\n"
      for server in Self.sorted(service.realServers.filter { !$0.isSorryServer }) {
        let serverName = anyName(
          server.realServer.address, server.realServer.port, service.service.ipProtocol)
        text += "-a \(name) -r \(serverName) -g -w \(server.weight)\n"
      }
    }
    return text
  }

  /// The first two lines of `-Lc`.
  public static func connectionTitle(hasEngines: Bool) -> String {
    "IPVS connection entries\n"
      + "pro expire state       source             virtual            destination"
      + (hasEngines ? "        pe name          pe_data\n" : "\n")
  }

  /// One line of `-Lc`.
  public func connection(_ connection: ConnectionReport) -> String {
    let virtual = connection.virtual
    let minutes = twoDigits(connection.remainingSeconds / 60)
    let seconds = twoDigits(connection.remainingSeconds % 60)
    let client = anyName(connection.clientAddress, connection.clientPort, virtual.ipProtocol)
    let server = anyName(
      connection.realServer.address, connection.realServer.port, virtual.ipProtocol)
    return padded(virtual.ipProtocol.serviceProtocol.uppercased(), 3) + " "
      + padded("\(minutes):\(seconds)", 6) + " " + padded(connection.state, 11) + " "
      + padded(client, 18) + " " + padded(anyName(virtual), 18) + " " + server + "\n"
  }

  /// `-L --timeout`.
  public static func timeouts(_ timeouts: Timeouts) -> String {
    "Timeout (tcp tcpfin udp): \(timeouts.tcp) \(timeouts.tcpFin) \(timeouts.udp)\n"
  }

  /// `TCP  192.0.2.1:80`, `FWM  1 IPv6`.
  func listedName(_ key: VirtualServiceKey) -> String {
    if let mark = key.mark {
      return "FWM  \(mark.rawValue)" + (key.address.version == 6 ? " IPv6" : "")
    }
    let name = padded(key.ipProtocol.serviceProtocol.uppercased(), 4) + " " + anyName(key)
    return Self.cut(name, 33, of: key.address)
  }

  /// `-t 192.0.2.1:80`, `-f 1 -6`.
  private func optionName(_ key: VirtualServiceKey) -> String {
    if let mark = key.mark {
      return "-f \(mark.rawValue)" + (key.address.version == 6 ? " -6" : "")
    }
    return "\(key.ipProtocol.ipvsadmOption) \(anyName(key))"
  }

  private func anyName(_ key: VirtualServiceKey) -> String {
    anyName(key.address, key.port, key.ipProtocol)
  }

  private func anyName(_ address: IPAddress, _ port: Port, _ ipProtocol: IPProtocol) -> String {
    let host = names.hostName(address) ?? address.description
    let service = names.serviceName(port, ipProtocol) ?? String(port.rawValue)
    // ipvsadm formats into 60 bytes, of which the last ends the string.
    let text = if case .v6 = address { "[\(host)]:\(service)" } else { "\(host):\(service)" }
    return String(decoding: text.utf8.prefix(59), as: UTF8.self)
  }

  /// ipvsadm cuts names of IPv4 addresses at the column's end, not those of IPv6 addresses.
  private static func cut(_ text: String, _ width: Int, of address: IPAddress) -> String {
    guard case .v4 = address else { return text }
    return String(decoding: text.utf8.prefix(width), as: UTF8.self)
  }

  private static func title(_ columns: Listing.Columns) -> String {
    let names: [String]
    switch columns {
    case .configuration:
      return "Prot LocalAddress:Port Scheduler Flags\n"
        + "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
    case .tunnels:
      return "Prot LocalAddress:Port Scheduler Flags\n"
        + "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
    case .thresholds:
      return "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n"
        + "  -> RemoteAddress:Port\n"
    case .clients:
      return "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n"
        + "  -> RemoteAddress:Port\n"
    case .statistics: names = ["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]
    case .rates: names = ["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]
    }
    return padded("Prot LocalAddress:Port", 33)
      + names.map { " " + aligned($0, 8) }.joined() + "\n  -> RemoteAddress:Port\n"
  }

  /// What follows a service's name; `width` is what the name left of its column.
  private static func cells(
    of service: ServiceReport, _ columns: Listing.Columns, width: Int
  ) -> String {
    let gap = String(repeating: " ", count: width)
    switch columns {
    case .configuration, .thresholds, .clients, .tunnels:
      let flags = service.flags.ipvsadmNames(for: service.scheduler)
      var text = " \(service.scheduler.rawValue)\(service.flags.isEmpty ? "" : " (\(flags))")"
      if let persistence = service.persistence {
        text += " persistent \(persistence.timeoutSeconds)"
        if let mask = persistence.ipvsadmMask { text += " mask \(mask)" }
      }
      return text + (service.isOnePacket ? " ops" : "")
    case .statistics(let isExact): return gap + cells(service.statistics, isExact: isExact)
    case .rates(let isExact): return gap + cells(service.rates, isExact: isExact)
    }
  }

  private static func cells(of server: RealServerReport, _ columns: Listing.Columns) -> String {
    switch columns {
    case .configuration, .tunnels:
      return " " + padded("Route", 7) + (columns == .tunnels ? " " + padded("n/a", 13) : "") + " "
        + padded(String(server.effectiveWeight), 6) + " "
        + padded(String(server.activeConnections), 10) + " "
        + padded(String(server.inactiveConnections), 10)
        + (server.isResolved ? "" : " unresolved")
        + (server.drain.map { $0 == .draining ? " draining" : " drained" } ?? "")
    case .thresholds:
      let numbers = [
        UInt64(server.thresholds.upper), UInt64(server.thresholds.lower),
        server.activeConnections, server.inactiveConnections,
      ]
      return numbers.map { " " + padded(String($0), 10) }.joined()
    case .clients:
      return " " + padded(String(server.effectiveWeight), 9) + " "
        + padded(String(server.persistentConnections), 11) + " "
        + padded(String(server.activeConnections), 10) + " "
        + padded(String(server.inactiveConnections), 10)
    case .statistics(let isExact):
      return cells(server.statistics, isExact: isExact)
    case .rates(let isExact):
      // Rates of connections and packets are not abbreviated here, unlike a service's.
      let rates = [server.rates.connections, server.rates.inPackets, 0]
      return rates.map { " " + aligned(String($0), 8) }.joined()
        + largeNumber(server.rates.inBytes, isExact: isExact) + largeNumber(0, isExact: isExact)
    }
  }

  /// In direct routing nothing goes out through the director.
  private static func cells(_ counters: Counters, isExact: Bool) -> String {
    [counters.connections, counters.inPackets, 0, counters.inBytes, 0]
      .map { largeNumber($0, isExact: isExact) }.joined()
  }

  /// `print_largenum`: nine columns, abbreviated from a hundred million on.
  static func largeNumber(_ number: UInt64, isExact: Bool) -> String {
    if isExact {
      let digits = String(number)
      return aligned(digits, digits.utf8.count <= 8 ? 9 : digits.utf8.count + 1)
    }
    return switch number {
    case ..<100_000_000: aligned(String(number), 9)
    case ..<1_000_000_000: aligned(String(number / 1000), 8) + "K"
    case ..<100_000_000_000: aligned(String(number / 1_000_000), 8) + "M"
    case ..<100_000_000_000_000: aligned(String(number / 1_000_000_000), 8) + "G"
    default: aligned(String(number / 1_000_000_000_000), 8) + "T"
    }
  }

  private static func sorted(_ services: [ServiceReport]) -> [ServiceReport] {
    services.sorted { $0.service.isListed(before: $1.service) }
  }

  private static func sorted(_ realServers: [RealServerReport]) -> [RealServerReport] {
    realServers.sorted { $0.realServer.isListed(before: $1.realServer) }
  }
}

extension Persistence {
  /// The argument of `-M`: a mask, for IPv6 its length.
  fileprivate var ipvsadmMask: String? {
    switch mask {
    case .v4(let mask): mask.description
    case .v6(let mask): String(mask.prefixLength ?? 0)
    case nil: nil
    }
  }
}

func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.utf8.count))
}

func aligned(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.utf8.count)) + text
}

private func twoDigits(_ number: UInt32) -> String {
  number < 10 ? "0\(number)" : String(number)
}
