// SPDX-License-Identifier: Apache-2.0
import CProbe
import DataPlane
import Glibc

/// The raw ICMP sockets that real servers are pinged by: one for each IP version, open from the
/// first question on. A filter in the kernel lets nothing up but replies with an identifier of
/// their own and errors that quote it, so that what other programs ping does not fill them.
final class EchoSockets {
  private struct Question {
    var address: IPAddress
    var echo: EchoMessage
    var token: UInt64
    /// What came first counts.
    var outcome: CheckResult?
  }

  /// Of what has come and was not read yet: some thousand replies, where the usual limit is 270.
  private static let receiveBytes: Int32 = 1 << 20
  private static let packetLimit = 512

  private let poller: Poller
  private let identifier = UInt16.random(in: .min ... .max)
  private var lastSequence = UInt16.random(in: .min ... .max)
  private var random = RandomStock()
  private var descriptors: [Bool: Int32] = [:]
  /// Those under way, by sequence number.
  private var questions: [UInt16: Question] = [:]

  init(poller: Poller) { self.poller = poller }

  deinit { for descriptor in descriptors.values { close(descriptor) } }

  /// A sequence number for one ping; nil where all are taken.
  ///
  /// - Parameter token: what its outcome is told by.
  func take(_ address: IPAddress, for token: UInt64) -> UInt16? {
    guard questions.count <= Int(UInt16.max) else { return nil }
    repeat { lastSequence &+= 1 } while questions[lastSequence] != nil
    let echo = EchoMessage(
      identifier: identifier, sequence: lastSequence, nonce: random.next())
    questions[lastSequence] = Question(address: address, echo: echo, token: token)
    return lastSequence
  }

  func release(_ sequence: UInt16) { questions[sequence] = nil }

  /// nil as long as nothing has come.
  func outcome(of sequence: UInt16) -> CheckResult? { questions[sequence]?.outcome }

  /// What one ping says.
  func request(of sequence: UInt16) -> [UInt8]? {
    questions[sequence].map { $0.echo.request(isIPv6: $0.address.isVersion6) }
  }

  /// Sends the ping; 0, or the errno.
  func ask(_ sequence: UInt16) -> Int32 {
    guard let address = questions[sequence]?.address, let request = request(of: sequence) else {
      return EINVAL
    }
    let isVersion6 = address.isVersion6
    if descriptors[isVersion6] == nil {
      let code = open(isVersion6: isVersion6)
      guard code == 0 else { return code }
    }
    let count = address.withSocketAddress(Port(0)) {
      sendto(descriptors[isVersion6]!, request, request.count, Int32(MSG_NOSIGNAL), $0, $1)
    }
    return count >= 0 ? 0 : errno
  }

  /// Takes what has come; returns the tokens of those that have their outcome.
  func receive() -> [UInt64] {
    var settled: [UInt64] = []
    for (isVersion6, descriptor) in descriptors {
      withUnsafeTemporaryAllocation(byteCount: Self.packetLimit, alignment: 16) { room in
        // So many at most in one go: a flood keeps no other check waiting.
        for _ in 0..<64 {
          var source = sockaddr_storage()
          var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
          let count = withUnsafeMutablePointer(to: &source) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              recvfrom(descriptor, room.baseAddress, room.count, 0, $0, &size)
            }
          }
          guard count >= 0 else { return }
          let packet = UnsafeRawBufferPointer(rebasing: room[..<count])
          let sender = withUnsafeBytes(of: source) {
            $0.address(at: isVersion6 ? 8 : 4, isVersion6: isVersion6)
          }
          // IPv4 raw sockets have the IP header too (raw(7)).
          let header = isVersion6 || packet.isEmpty ? 0 : Int(packet[0] & 15) * 4
          guard header + 8 <= packet.count else { continue }
          let message = UnsafeRawBufferPointer(rebasing: packet[header...])
          if let token = settle(message, from: sender) { settled.append(token) }
        }
      }
    }
    return settled
  }

  /// Whom an ICMP message of eight octets or more is for: as a reply from the address that was
  /// asked, with all that was said, or as an error that quotes the ping.
  func settle(_ message: UnsafeRawBufferPointer, from sender: IPAddress) -> UInt64? {
    let isIPv6 = sender.isVersion6
    let error = EchoError(message, isIPv6: isIPv6)
    let sequence = (error?.quoted ?? message).word(6)
    guard let question = questions[sequence], question.outcome == nil,
      question.address == error?.destination ?? sender,
      error.map({ question.echo.isQuoted($0.quoted, isIPv6: isIPv6) })
        ?? question.echo.isAnswered(by: message, isIPv6: isIPv6)
    else { return nil }
    questions[sequence]!.outcome = error.map { .failure("\($0.words), says \(sender)") } ?? .success
    return question.token
  }

  private func open(isVersion6: Bool) -> Int32 {
    let ipProtocol: IPProtocol = isVersion6 ? .icmpv6 : .icmp
    let type = Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(
      isVersion6 ? AF_INET6 : AF_INET, type, Int32(ipProtocol.rawValue))
    guard descriptor >= 0 else { return errno }
    var bytes = Self.receiveBytes
    // Without the right to that it is as large as it is.
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, socklen_t(MemoryLayout<Int32>.size))
    let filter =
      isVersion6 ? EchoFilter.ipv6(identifier) : EchoFilter.ipv4(identifier)
    var code = filter.attach(to: descriptor)
    if code == 0 { code = poller.watch(descriptor, as: Poller.echoToken) }
    guard code == 0 else {
      close(descriptor)
      return code
    }
    descriptors[isVersion6] = descriptor
    return 0
  }
}
