// SPDX-License-Identifier: Apache-2.0

/// What `ipvsadm` shows of a director at one moment.
struct Tables {
  /// `-Ln` and `-Ln --stats --exact` without the banner, which has the table's size, and `-Sn`.
  var texts: [String]
  var connections: [String: Connection]

  /// One line of `-Lnc`; its key is protocol, client and virtual service.
  struct Connection: CustomStringConvertible {
    var state: String
    var realServer: String
    var remainingSeconds: Int

    var description: String { "\(state) \(realServer) \(remainingSeconds) s" }
  }

  static let listings = ["-Ln", "-Ln --stats --exact", "-Sn", "-Lnc"]

  /// - Parameter texts: the output of each of `listings`.
  init(_ texts: [String]) {
    func body(_ text: String, from line: Int) -> String {
      text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(line)
        .joined(separator: "\n")
    }
    self.texts = [body(texts[0], from: 1), body(texts[1], from: 1), texts[2]]
    connections = [:]
    for line in body(texts[3], from: 2).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      let time = words[1].split(separator: ":").compactMap { Int($0) }
      connections["\(words[0]) \(words[3]) \(words[4])"] = Connection(
        state: words[2], realServer: words[5], remainingSeconds: time[0] * 60 + time[1])
    }
  }

  /// Without the connections to real servers that are not in the table any more.
  var withoutOrphans: Tables {
    var copy = self
    let rules = texts[2]
    copy.connections = connections.filter { key, connection in
      let service = key.split(separator: " ")
      let option = service[0] == "UDP" ? "-u" : "-t"
      return rules.contains("-a \(option) \(service[2]) -r \(connection.realServer) ")
    }
    return copy
  }

  /// The connections that differ, a line each; `slack` is how many seconds remaining times may,
  /// and how little time a connection has left that the other may have ended.
  static func differences(
    _ left: [String: Connection], _ right: [String: Connection], slack: Int
  ) -> [String] {
    Set(left.keys).union(right.keys).sorted().compactMap { key in
      switch (left[key], right[key]) {
      case (let left?, let right?):
        let isSame = left.state == right.state && left.realServer == right.realServer
        let isTimely = abs(left.remainingSeconds - right.remainingSeconds) <= slack
        return isSame && isTimely ? nil : "\(key): \(left) versus \(right)"
      case (let left?, nil):
        return left.remainingSeconds <= slack ? nil : "\(key): \(left) versus none"
      case (nil, let right?):
        return right.remainingSeconds <= slack ? nil : "\(key): none versus \(right)"
      case (nil, nil): return nil
      }
    }
  }
}
