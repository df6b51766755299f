// SPDX-License-Identifier: Apache-2.0
import DataPlane
import TestSupport
import Testing

@testable import ControlPlane

/// What answers mean, without sockets.
@Suite struct ProbeTests {
  private func judge(_ text: String, parts: Int, _ question: HTTPQuestion) -> CheckResult {
    var reply = HTTPReply(question)
    let octets = Array(text.utf8)
    for start in stride(from: 0, to: octets.count, by: parts) {
      let part = octets[start..<min(start + parts, octets.count)]
      if let result = part.withUnsafeBytes({ reply.take($0) }) { return result }
    }
    return reply.end()
  }

  /// However it is cut into pieces.
  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\n\r\n", nil, CheckResult.success), ("HTTP/1.0 204\n\n", nil, .success),
    ("HTTP/1.1 503 No\r\n\r\nhello", nil, .failure("status 503")),
    ("HTTP/1.1 503 No\r\n\r\nhello", "hello", .failure("status 503")),
    ("HTTP/1.1 200 OK\r\nX: hello\r\n\r\nworld", "hello", .failure("the body is without the text")),
    ("HTTP/1.1 200 OK\r\n\r\nsay hello", "hello", .success),
    ("HTTP/1.1 200 OK\r\n\r\nhehello", "hello", .success),
    ("HTTP/1.1 200 OK\r\n\r\nhell", "hello", .failure("the body is without the text")),
    ("HTTP/1.1 200 OK", nil, .failure("closed without an HTTP answer")),
    ("", nil, .failure("closed without an HTTP answer")),
    ("SSH-2.0-OpenSSH\r\n", nil, .failure("no HTTP answer")),
    ("HTTP/1.1 2000 \r\n", nil, .failure("no HTTP answer")),
    ("HTTP/1.1 2 0\r\n", nil, .failure("no HTTP answer")),
    ("HTTP/2 200\r\n", nil, .failure("no HTTP answer")),
    ("\n", nil, .failure("no HTTP answer")),
    (String(repeating: "x", count: 5000), nil, .failure("no HTTP answer")),
    (
      "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "hell", count: 20_000), "hello",
      .failure("the first 64 KiB are without the text")
    ),
  ])
  func httpReplies(text: String, body: String?, expected: CheckResult) {
    var question = HTTPQuestion()
    question.body = body
    for parts in [1, 2, 3, 7, 16_384] {
      #expect(judge(text, parts: parts, question) == expected, "in parts of \(parts)")
    }
  }

  /// RFC 1035 §4.1.1, octet by octet.
  @Test func dnsResponses() throws {
    var question = DNSQuestion()
    (question.name, question.type) = ("www.Example.org", .AAAA)
    let message = DNSMessage(question, identifier: 0xabcd)
    let asked: [UInt8] =
      [3] + Array("www".utf8) + [7] + Array("Example".utf8) + [3] + Array("org".utf8)
      + [0, 0, 28, 0, 1]
    #expect(message.query == [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + asked)
    func judge(_ change: (inout [UInt8]) -> Void) -> CheckResult? {
      var response = [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0] + asked
      change(&response)
      return response.withUnsafeBytes { message.judge($0) }
    }
    #expect(judge { _ in } == .success)
    #expect(judge { $0[17] = 0x65 } == .success)
    #expect(judge { $0[3] = 0x83 } == .failure("dns: no such name"))
    #expect(
      judge {
        $0[3] = 0x82; $0.removeLast(asked.count)
      } == .failure("dns: server failure"))
    #expect(judge { $0[3] = 0x8f } == .failure("dns: error 15"))
    // Not of this query, or no response.
    #expect(judge { $0[0] = 0 } == nil)
    #expect(judge { $0[2] = 0x01 } == nil)
    #expect(judge { $0[2] = 0xa1 } == nil)
    #expect(judge { $0[5] = 0 } == nil)
    #expect(judge { $0[14] = 0x7a } == nil)
    for count in 0..<(12 + asked.count) {
      #expect(judge { $0.removeLast($0.count - count) } == nil, "\(count) octets")
    }
  }

  @Test(arguments: [
    (".", true), ("a", true), ("a.b.", true), ("", false), ("..", false), ("a..b", false),
    ("a b", false), (String(repeating: "x", count: 63), true),
    (String(repeating: "x", count: 64), false), (String(repeating: "xxx.", count: 63), true),
    (String(repeating: "xxx.", count: 64), false),
  ])
  func dnsNames(name: String, isName: Bool) {
    #expect(DNSMessage.isName(name) == isName)
  }

  /// RFC 792 and RFC 4443 §4.2: the same identifier, sequence and data, another type.
  @Test(arguments: [false, true])
  func echoReplies(isIPv6: Bool) {
    let echo = EchoMessage(identifier: 0x1234, sequence: 0x5678, nonce: 0x0102_0304_0506_0708)
    let request = echo.request(isIPv6: isIPv6)
    #expect(request[0] == (isIPv6 ? 128 : 8))
    #expect(request[4...] == [0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8])
    if !isIPv6 {
      // 0x0800 + 0x1234 + 0x5678 + 0x0102 + 0x0304 + 0x0506 + 0x0708 = 0x80c0
      #expect(request[2...3] == [0x7f, 0x3f])
    }
    func isAnswered(_ change: (inout [UInt8]) -> Void) -> Bool {
      var reply = request
      reply[0] = isIPv6 ? 129 : 0
      change(&reply)
      return reply.withUnsafeBytes { echo.isAnswered(by: $0, isIPv6: isIPv6) }
    }
    #expect(isAnswered { _ in } && isAnswered { $0.append(0) })
    #expect(!isAnswered { $0[0] = request[0] } && !isAnswered { $0[1] = 1 })
    for place in 4..<request.count { #expect(!isAnswered { $0[place] ^= 1 }, "\(place)") }
    for count in 0..<request.count { #expect(!isAnswered { $0.removeLast($0.count - count) }) }
  }

  /// Sums of 16-bit words, carries added, over what RFC 9293 §3.1, RFC 768 and RFC 8200 §8.1 say:
  /// all ones where a checksum is right.
  private func sum(_ octets: [UInt8]) -> UInt32 {
    let even = octets + (octets.count % 2 == 0 ? [] : [0])
    var sum: UInt32 = 0
    for place in stride(from: 0, to: even.count, by: 2) {
      sum += UInt32(even[place]) << 8 | UInt32(even[place + 1])
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return sum
  }

  @Test func packetsToVIPs() throws {
    let four = ProbePacket(
      source: IPAddress("192.0.2.1")!, destination: IPAddress("192.0.2.9")!, ownPort: Port(61_001),
      port: Port(80))
    let syn = four.segment(.syn, sequence: 0x0102_0304)
    #expect(
      syn[..<10] == [0x45, 0, 0, 40, 0, 0, 0x40, 0, 1, 6]
        && syn[12..<36] == [
          192, 0, 2, 1, 192, 0, 2, 9, 0xee, 0x49, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 2, 0xff,
          0xff,
        ])
    #expect(sum(Array(syn[..<20])) == 0xffff)
    func pseudo4(_ packet: [UInt8]) -> [UInt8] {
      packet[12..<20] + [0, packet[9], 0, UInt8(packet.count - 20)] + packet[20...]
    }
    #expect(sum(pseudo4(syn)) == 0xffff)
    for count in 0...9 {
      #expect(sum(pseudo4(four.datagram((0..<UInt8(count)).map { $0 }))) == 0xffff)
    }
    #expect(sum(Array(four.echo(7)[20...])) == 0xffff)
    let six = ProbePacket(
      source: IPAddress("2001:db8::1")!, destination: IPAddress("2001:db8::9")!,
      ownPort: Port(61_001), port: Port(80))
    for packet in [six.segment(.rst, sequence: 9), six.datagram([1, 2, 3]), six.echo(7)] {
      #expect(packet[0] == 0x60 && packet[7] == 1 && Int(packet[5]) == packet.count - 40)
      let pseudo = packet[8..<40] + [0, 0, 0, packet[5], 0, 0, 0, packet[6]] + packet[40...]
      #expect(sum(Array(pseudo)) == 0xffff)
    }
  }

  /// What a VIP's owner would send back, whole and in all its beginnings, and damaged.
  @Test func answersOfVIPs() {
    for (source, own) in [("192.0.2.9", "192.0.2.1"), ("2001:db8::9", "2001:db8::1")] {
      let vip = IPAddress(source)!
      let back = ProbePacket(
        source: vip, destination: IPAddress(own)!, ownPort: Port(80), port: Port(61_001))
      func answer(_ packet: [UInt8]) -> LinkAnswer? { packet.withUnsafeBytes { LinkAnswer($0) } }
      let segment = back.segment([.syn, .ack], sequence: 5)
      #expect(answer(segment)?.content == .segment(Port(80), [.syn, .ack], acknowledged: 0))
      #expect(answer(segment)?.source == vip && answer(segment)?.ownPort == Port(61_001))
      let datagram = back.datagram([1, 2, 3])
      #expect(answer(datagram)?.content == .datagram(Port(80), [1, 2, 3]))
      #expect(answer(datagram + [0, 0, 0])?.content == .datagram(Port(80), [1, 2, 3]))
      var echo = back.echo(0x0102_0304)
      #expect(answer(echo) == nil)
      echo[vip.isVersion6 ? 40 : 20] = vip.isVersion6 ? 129 : 0
      #expect(answer(echo)?.content == .echo(0x0102_0304) && answer(echo)?.ownPort == Port(80))
      var random = Seed(11)
      for packet in [segment, datagram, echo] {
        for count in 0..<packet.count {
          #expect(answer(Array(packet[..<count])) == nil, "\(count) of \(packet.count)")
        }
        for _ in 0..<2000 {
          var damaged = packet
          for _ in 0...2 {
            damaged[.random(in: 0..<damaged.count, using: &random)] =
              .random(in: .min ... .max, using: &random)
          }
          _ = answer(damaged)
        }
        guard !vip.isVersion6 else { continue }
        // A fragment: more to come, or an offset.
        for (place, value) in [(6, UInt8(0x20)), (7, 1)] {
          var fragment = packet
          fragment[place] |= value
          #expect(answer(fragment) == nil)
        }
      }
    }
  }
}
