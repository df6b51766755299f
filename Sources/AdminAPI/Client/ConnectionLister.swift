// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// `martinet connections`: those that a query takes, page by page.
public struct ConnectionLister: Sendable {
  public enum Form: Sendable {
    case table
    /// A document per line.
    case json
  }

  private let client: ControlClient
  private let query: ConnectionQuery

  public init(client: ControlClient, query: ConnectionQuery) {
    self.client = client
    self.query = query
  }

  /// Lists at most `limit` connections, nil for all, from `position` on. Returns where to go on;
  /// nil after the last.
  ///
  /// - Parameters:
  ///   - write: takes a page's text.
  ///   - progress: hears after each page how many there were so far.
  public func list(
    as form: Form, from position: UInt64? = nil, limit: Int? = nil, write: ([UInt8]) -> Void,
    progress: (Int) -> Void = { _ in }
  ) throws(ControlError) -> UInt64? {
    var position = position
    var count = 0
    repeat {
      let rest = limit.map { $0 - count } ?? .max
      let page = try client.connections(
        query, from: position, limit: min(rest, ControlClient.connectionLimit))
      if count == 0, form == .table, !page.connections.isEmpty { write(Self.title.octets) }
      var text: [UInt8] = []
      for connection in page.connections {
        text += form == .json ? connection.json + [UInt8(ascii: "\n")] : connection.tableLine
      }
      if !text.isEmpty { write(text) }
      count += page.connections.count
      position = page.next
      progress(count)
    } while position != nil && count < limit ?? .max
    return position
  }

  /// How many there are.
  public func count(progress: (Int) -> Void = { _ in }) throws(ControlError) -> Int {
    var count = 0
    var position: UInt64?
    repeat {
      let part = try client.connectionCount(query, from: position)
      count += part.connections
      position = part.next
      progress(count)
    } while position != nil
    return count
  }

  private static let title: Octets = """
    \("prot", width: 4) \("client", width: 22) \("virtual", width: 22) \
    \("real server", width: 22) \("state", width: 11) \("idle s", width: 6) left s

    """
}

extension ConnectionReport {
  fileprivate var tableLine: [UInt8] {
    let line: Octets = """
      \(text(virtual.ipProtocol.serviceProtocol), width: 4) \
      \(text(clientAddress, clientPort), width: 22) \
      \(text(virtual.address, virtual.port), width: 22) \
      \(text(realServer.address, realServer.port), width: 22) \(text(state), width: 11) \
      \("\(idleSeconds)", width: 6) \(remainingSeconds)

      """
    return line.octets
  }

  private func text(_ word: String) -> Octets { "\(word)" }

  private func text(_ address: IPAddress, _ port: Port) -> Octets {
    switch address {
    case .v4: "\(address):\(port)"
    case .v6: "[\(address)]:\(port)"
    }
  }
}
