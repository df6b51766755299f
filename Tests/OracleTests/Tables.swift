// SPDX-License-Identifier: Apache-2.0

/// What `ipvsadm` shows of a director at one moment.
struct Tables {
  /// The listings of services, without the banner, which has the table's size.
  var texts: [String]
  var connections: [String: Connection]

  /// One line of `-Lnc`; its key is protocol, client and virtual service.
  struct Connection: CustomStringConvertible {
    var state: String
    var realServer: String
    var remainingSeconds: Int

    var description: String { "\(state) \(realServer) \(remainingSeconds) s" }
  }

  static let listings = [
    "-Lnc", "-Sn", "-Ln", "-Ln --stats --exact", "-Ln --thresholds", "-Ln --persistent-conn",
    "-Ln --rate", "-L --timeout",
  ]

  /// - Parameters:
  ///   - texts: the output of each of `listings`.
  ///   - isKernels: whether to leave out what only the kernel may list.
  init(_ texts: [String], isKernels: Bool) {
    self.texts = zip(Self.listings, texts).dropFirst().map { listing, text in
      let body = Self.lines(text).filter { !$0.hasPrefix("IP Virtual Server") }
      return body.map { Self.comparable($0, of: listing, isKernels) }.joined(separator: "\n")
    }
    connections = [:]
    for line in Self.lines(texts[0]).dropFirst(2) where !line.isEmpty {
      let words = line.split(separator: " ").map(String.init)
      // Deviation.refusedTemplate.
      if isKernels, words[4].hasSuffix(":65535") { continue }
      let time = words[1].split(separator: ":").compactMap { Int($0) }
      connections["\(words[0]) \(words[3]) \(words[4])"] = Connection(
        state: words[2], realServer: words[5], remainingSeconds: time[0] * 60 + time[1])
    }
  }

  private static func lines(_ text: String) -> [Substring] {
    text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The five columns at the end of statistics are nine wide each. Rates are estimated by each
  /// director's own clock. The kernel's packets and octets out: Deviation.answersOut.
  private static func comparable(
    _ line: Substring, of listing: String, _ isKernels: Bool
  ) -> String {
    let isCounted = line.first == " " || line.contains(":") || line.hasPrefix("FWM")
    guard isCounted, !line.hasSuffix("Port"), !line.hasPrefix("Prot")
    else { return String(line) }
    if listing.contains("--rate") { return String(line.dropLast(5 * 9)) }
    guard listing.contains("--stats") else { return String(line) }
    guard isKernels else { return asReassembled(line) }
    let nothing = "        0"
    return line.dropLast(3 * 9) + nothing + line.dropLast(9).suffix(9) + nothing
  }

  /// Deviation.fragments: three packets with a header each are one to the kernel, of IPv6 without
  /// the fragment header too.
  private static func asReassembled(_ line: Substring) -> String {
    let words = line.split(separator: " ")
    guard
      let name = words.first(where: { $0.contains(":") }),
      let port = name.split(separator: ":").last.flatMap({ UInt16($0) }),
      PlannedService.fragmentedPorts.contains(port),
      let packets = Int(words[words.count - 4]), let octets = Int(words[words.count - 2])
    else { return String(line) }
    let fragments = PlannedService.fragmentsPerDatagram
    guard packets.isMultiple(of: fragments) else { return "\(line): not whole datagrams" }
    let datagrams = packets / fragments
    let moreOctets =
      name.hasPrefix("[") ? 40 * (fragments - 1) + 8 * fragments : 20 * (fragments - 1)
    let numbers = [datagrams, 0, octets - datagrams * moreOctets, 0].map { number in
      String(repeating: " ", count: 9 - String(number).count) + String(number)
    }
    return line.dropLast(4 * 9) + numbers.joined()
  }

  /// Without the connections to real servers that are not in the table any more.
  var withoutOrphans: Tables {
    var copy = self
    let rules = texts[0]
    copy.connections = connections.filter { key, connection in
      let service = key.split(separator: " ")
      let option = ["TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"][service[0]] ?? ""
      return rules.contains("-a \(option) \(service[2]) -r \(connection.realServer) ")
    }
    return copy
  }

  /// What only the kernel's text has, then what only Martinet's has.
  static func lineDifferences(_ kernel: String, _ martinet: String) -> [String] {
    lines(martinet).difference(from: lines(kernel)).map {
      switch $0 {
      case .remove(_, let line, _): "kernel   \(line)"
      case .insert(_, let line, _): "Martinet \(line)"
      }
    }
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
