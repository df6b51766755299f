// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import DataPlane

/// The options by which a command names one virtual service, as ipvsadm has them.
struct NamedService: ParsableArguments {
  @Option(
    name: [.customShort("t"), .long],
    help: ArgumentHelp("A TCP service, as ipvsadm takes it.", valueName: "VIP:port"))
  var tcpService: String?

  @Option(
    name: [.customShort("u"), .long],
    help: ArgumentHelp("A UDP service.", valueName: "VIP:port"))
  var udpService: String?

  @Option(help: ArgumentHelp("An SCTP service.", valueName: "VIP:port"))
  var sctpService: String?

  @Option(
    name: [.customShort("f"), .long],
    help: ArgumentHelp("The service of a firewall mark.", valueName: "mark"))
  var fwmarkService: String?

  @Flag(name: [.customShort("6"), .customLong("ipv6")], help: "The mark's service for IPv6.")
  var isIPv6 = false

  func validate() throws { _ = try key }

  /// nil where no service is named.
  var key: VirtualServiceKey? {
    get throws {
      let named = [
        ("-t", tcpService), ("-u", udpService), ("--sctp-service", sctpService),
        ("-f", fwmarkService),
      ].compactMap { option, argument in argument.map { [option, $0] } }
      guard named.count < 2 else {
        throw ValidationError("-t, -u, --sctp-service and -f exclude each other: give one service")
      }
      if isIPv6 && fwmarkService == nil { throw ValidationError("-6 goes with -f MARK only") }
      guard let words = named.first else { return nil }
      do throws(UsageError) {
        return try IpvsadmParser().service(words + (isIPv6 ? ["-6"] : []))
      } catch {
        throw ValidationError(
          fwmarkService == nil
            ? "'\(words[1])' is no service: give VIP:port, as 192.0.2.1:80"
            : "'\(words[1])' is no mark: give a number from 1 to 4294967295")
      }
    }
  }
}
