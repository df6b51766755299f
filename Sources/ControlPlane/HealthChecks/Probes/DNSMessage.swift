// SPDX-License-Identifier: Apache-2.0

/// A query and its response: RFC 1035 §4.1.
struct DNSMessage {
  private let question: [UInt8]
  private let identifier: UInt16

  /// The question's name is one that `isName` has taken.
  init(_ question: DNSQuestion, identifier: UInt16 = .random(in: .min ... .max)) {
    self.identifier = identifier
    var octets: [UInt8] = []
    for label in question.name.split(separator: ".") {
      octets.append(UInt8(label.utf8.count))
      octets += label.utf8
    }
    octets.append(0)
    octets.append(bigEndian: question.type.rawValue)
    // Class IN.
    octets.append(bigEndian: UInt16(1))
    self.question = octets
  }

  /// One question, recursion desired.
  var query: [UInt8] {
    var octets: [UInt8] = []
    for word in [identifier, 0x0100, 1, 0, 0, 0] as [UInt16] { octets.append(bigEndian: word) }
    return octets + question
  }

  /// What a datagram means; nil where it is no response to this query.
  func judge(_ response: UnsafeRawBufferPointer) -> CheckResult? {
    func word(_ offset: Int) -> UInt16 {
      UInt16(response[offset]) << 8 | UInt16(response[offset + 1])
    }
    guard response.count >= 12, word(0) == identifier, word(2) & 0xf800 == 0x8000 else {
      return nil
    }
    let code = word(2) & 15
    // A server that could not read the query may leave it out.
    if code != 0 { return .failure("dns: \(Self.names[code] ?? "error \(code)")") }
    let asked = response.dropFirst(12).prefix(question.count)
    guard word(4) == 1,
      asked.elementsEqual(question, by: { Self.lowercased($0) == Self.lowercased($1) })
    else { return nil }
    return .success
  }

  /// RFC 1035 §3.1, §2.3.4: labels of 1 to 63 octets, 255 in all.
  static func isName(_ text: String) -> Bool {
    if text == "." { return true }
    let labels = (text.hasSuffix(".") ? text.dropLast() : text[...])
      .split(separator: ".", omittingEmptySubsequences: false)
    return labels.reduce(1) { $0 + $1.utf8.count + 1 } <= 255
      && labels.allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.utf8.allSatisfy { 0x21...0x7e ~= $0 }
      }
  }

  private static func lowercased(_ octet: UInt8) -> UInt8 {
    0x41...0x5a ~= octet ? octet + 32 : octet
  }

  /// RCODEs of RFC 1035 §4.1.1.
  private static let names: [UInt16: String] = [
    1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused",
  ]
}
