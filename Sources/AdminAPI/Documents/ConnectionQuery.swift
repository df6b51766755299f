// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Which connections are asked for: those that each field takes. The query of
/// `GET /v1/connections`, and by the same names the options of `martinet connections`.
public struct ConnectionQuery: Hashable, Sendable {
  public var service: VirtualServiceKey?
  public var realServer: IPAddress?
  public var clients: AddressPrefix?
  /// Words of `ConnectionReport.state`; empty for all.
  public var states: Set<String> = []
  /// Seconds, both included.
  public var idleAtLeast: UInt32 = 0
  public var idleAtMost = UInt32.max

  /// Asks for all.
  public init() {}

  public static let fieldNames = [
    "service", "real-server", "client", "state", "idle-at-least", "idle-at-most",
  ]

  /// The words that a state can have.
  public static let stateNames = ConnectionState.allCases.map(\.name) + ["ASSURED"]

  /// Reads all `fields`; throws one sentence about the first that is wrong.
  public init(fields: [String: String]) throws(QueryError) {
    for (name, text) in fields.sorted(by: { $0.key < $1.key }) {
      switch name {
      case "service":
        service = VirtualServiceKey(
          path: text.split(separator: "/", omittingEmptySubsequences: false).map(String.init))
        guard service != nil else {
          throw QueryError(name, text, "is no service", "give one as tcp/192.0.2.1/80")
        }
      case "real-server":
        realServer = IPAddress(text)
        guard realServer != nil else {
          throw QueryError(name, text, "is not an IP address", "give one as 192.0.2.2")
        }
      case "client":
        clients = AddressPrefix(text)
        guard clients != nil else {
          throw QueryError(name, text, "is no prefix", "give one as 192.0.2.0/24, or an address")
        }
      case "state":
        states = Set(text.uppercased().split(separator: ",").map(String.init))
        guard !states.isEmpty, states.isSubset(of: Self.stateNames) else {
          let all = Set(Self.stateNames).sorted().joined(separator: " ")
          throw QueryError(name, text, "is no state", "give some of \(all), with commas between")
        }
      case "idle-at-least": idleAtLeast = try Self.seconds(name, text)
      case "idle-at-most": idleAtMost = try Self.seconds(name, text)
      default:
        let known = Self.fieldNames.joined(separator: ", ")
        throw QueryError(cause: "there is no field \(name)", mend: "give from, limit, \(known)")
      }
    }
    guard idleAtLeast <= idleAtMost else {
      throw QueryError(
        cause: "idle-at-least \(idleAtLeast) is above idle-at-most \(idleAtMost), which no "
          + "connection can be", mend: "exchange them")
    }
  }

  private static func seconds(_ name: String, _ text: String) throws(QueryError) -> UInt32 {
    guard let seconds = UInt32(text) else {
      throw QueryError(name, text, "is no number of seconds", "give digits only")
    }
    return seconds
  }

  /// What `init(fields:)` reads.
  public var fields: [String: String] {
    var fields: [String: String] = [:]
    fields["service"] = service?.path
    fields["real-server"] = realServer?.description
    fields["client"] = clients?.description
    if !states.isEmpty { fields["state"] = states.sorted().joined(separator: ",") }
    if idleAtLeast > 0 { fields["idle-at-least"] = String(idleAtLeast) }
    if idleAtMost < .max { fields["idle-at-most"] = String(idleAtMost) }
    return fields
  }
}

/// What is wrong with a query, in one sentence: the cause and the mend.
public struct QueryError: Error, Hashable, Sendable, CustomStringConvertible {
  public let cause: String
  public let mend: String

  public var description: String { "\(cause): \(mend)" }

  fileprivate init(cause: String, mend: String) {
    self.cause = cause
    self.mend = mend
  }

  fileprivate init(_ name: String, _ text: String, _ rest: String, _ mend: String) {
    self.init(cause: "\(name) \(text.debugDescription) \(rest)", mend: mend)
  }
}
