// SPDX-License-Identifier: Apache-2.0

/// Makes the probes that checks need, and keeps what probes share.
final class ProbeMaker {
  private let contexts = TLSContexts()
  private let graveyard = Graveyard()
  private let poller: Poller
  private var random = RandomStock()
  let sockets: ProbeSockets
  let link: LinkSockets
  private let echoes: EchoSockets

  init(interfaces: [Int32], poller: Poller) {
    self.poller = poller
    sockets = ProbeSockets(poller: poller)
    link = LinkSockets(interfaces: interfaces, poller: poller)
    echoes = EchoSockets(poller: poller)
  }

  /// Whom that is for which has come to sockets that many probes share; nil where the token is none
  /// of theirs.
  func answered(reportedAs token: UInt64) -> [UInt64]? {
    switch token {
    case Poller.linkToken: link.receive()
    case Poller.echoToken: echoes.receive()
    default: nil
    }
  }

  /// Makes a check's probes, one for each time of asking, given the token that what comes of it is
  /// to be told by. What all of them say is put together once, here.
  func probes(for instance: CheckInstance) -> (UInt64) -> any Probe {
    let (address, port, sockets) = (instance.address, instance.port, sockets)
    if let vip = instance.vip {
      return { [self] token in
        VIPProbe(
          instance.kind, vip, port, at: address, link, token: token,
          nonce: UInt32(truncatingIfNeeded: random.next()))
      }
    }
    switch instance.kind {
    case .tcp:
      return { ConnectProbe(address, port, sockets, token: $0) }
    case .http(let question):
      let request = question.request(to: address, port)
      return {
        HTTPProbe(address, port, request, HTTPReply(question), sockets, token: $0) {
          PlainStream($0)
        }
      }
    case .https(let question, let tls):
      let request = question.request(to: address, port)
      return { [contexts] token in
        HTTPProbe(address, port, request, HTTPReply(question), sockets, token: token) { socket in
          contexts.context(authorities: tls.authorities).flatMap {
            TLSStream(socket, $0, tls, host: question.host, address: address)
          }
        }
      }
    case .udp(let question):
      return {
        DatagramProbe(
          address, port, question.payload, sockets, token: $0,
          silenceIsSuccess: !question.needsReply, judge: question.judge)
      }
    case .dns(let question):
      return { token in
        let message = DNSMessage(question)
        return DatagramProbe(
          address, port, message.query, sockets, token: token, judge: message.judge)
      }
    case .ping:
      return { [echoes] token in EchoProbe(address, echoes, token: token) }
    case .command(let command):
      return { [graveyard, poller] token in
        CommandProbe(command, address, port, graveyard, poller, token: token)
      }
    }
  }
}
