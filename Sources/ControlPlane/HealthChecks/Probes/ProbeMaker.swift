// SPDX-License-Identifier: Apache-2.0

/// Makes the probe that a check needs, and keeps what probes share.
final class ProbeMaker {
  private let contexts = TLSContexts()
  private let graveyard = Graveyard()
  private let streams = StreamSockets()
  private var random = RandomStock()
  let link: LinkSockets

  init(interface: Int32, poller: Poller) {
    link = LinkSockets(interface: interface, poller: poller)
  }

  /// - Parameter token: what the link is to tell the probe's answer by.
  func probe(for instance: CheckInstance, token: UInt64) -> any Probe {
    let (address, port) = (instance.address, instance.port)
    if let vip = instance.vip {
      return VIPProbe(
        instance.kind, vip, port, at: address, link, token: token,
        nonce: UInt32(truncatingIfNeeded: random.next()))
    }
    switch instance.kind {
    case .tcp:
      return ConnectProbe(address, port, streams)
    case .http(let question):
      return HTTPProbe(address, port, question, streams) { PlainStream($0) }
    case .https(let question, let tls):
      return HTTPProbe(address, port, question, streams) { [contexts] socket in
        contexts.context(authorities: tls.authorities).flatMap {
          TLSStream(socket, $0, tls, host: question.host, address: address)
        }
      }
    case .udp(let question):
      return DatagramProbe(
        address, port, question.payload, silenceIsSuccess: !question.needsReply,
        judge: question.judge)
    case .dns(let question):
      let message = DNSMessage(question)
      return DatagramProbe(address, port, message.query, judge: message.judge)
    case .ping:
      return EchoProbe(address, EchoMessage(using: &random))
    case .command(let command):
      return CommandProbe(command, address, port, graveyard)
    }
  }
}
