// SPDX-License-Identifier: Apache-2.0

extension ConnectionState {
  /// `sctp_states` of the kernel's ip_vs_proto_sctp.c for a director that sees one direction (its
  /// INPUT-ONLY rows); what is not named stays.
  func next(on chunk: ConnectionEvent.Chunk) -> ConnectionState {
    switch (chunk, self) {
    case (.data, .none), (.data, .sctpCookieWait): .sctpEstablished
    case (.initiation, .none): .sctpInit1
    case (.initiation, .sctpRejected), (.initiation, .sctpClosed): .sctpInit
    case (.initiation, _) where isBeforeCookie: .sctpInit
    case (.initiationAck, .none): .sctpCookieEchoed
    case (.initiationAck, _) where isBeforeCookie: .sctpCookieEchoed
    case (.cookieEcho, .none): .sctpEstablished
    case (.cookieEcho, _) where isBeforeCookie: .sctpEstablished
    case (.cookieAck, .none), (.cookieAck, .sctpCookieSent), (.cookieAck, .sctpCookieReplied),
      (.cookieAck, .sctpCookie), (.cookieAck, .sctpCookieEchoed):
      .sctpEstablished
    case (.shutdown, .none), (.shutdown, .sctpEstablished): .sctpShutdownReceived
    case (.shutdownAck, .sctpInit1): .sctpInit
    case (.shutdownAck, .none), (.shutdownAck, .sctpEstablished), (.shutdownAck, .sctpShutdownSent),
      (.shutdownAck, .sctpShutdownAckSent):
      .sctpClosed
    case (.shutdownComplete, .sctpCookieWait): self
    case (.shutdownComplete, .none), (.shutdownComplete, .sctpShutdownReceived),
      (.shutdownComplete, .sctpShutdownAckSent):
      .sctpClosed
    case (.shutdownComplete, _) where isBeforeCookie: .sctpClosed
    case (.error, .none): .sctpClosed
    case (.abort, .sctpCookieWait): .sctpRejected
    case (.abort, .none): .sctpClosed
    case (.abort, _) where isSCTP: .sctpClosed
    default: self
    }
  }

  private var isSCTP: Bool { rawValue > ConnectionState.udp.rawValue }

  /// Before the client has shown the server's cookie, or the server the client's.
  private var isBeforeCookie: Bool {
    isSCTP && rawValue <= ConnectionState.sctpCookieWait.rawValue
  }
}
