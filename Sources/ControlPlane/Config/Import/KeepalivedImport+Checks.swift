// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// When keepalived checks; the inner block's word goes before the outer one's.
struct KeepalivedTimers {
  /// What keepalived.conf(5) says of each where it is left out.
  var intervalMilliseconds: UInt32 = 60_000
  var timeoutMilliseconds: UInt32 = 5000
  /// nil for what the kind of check has.
  var retries: UInt32?
  var isAlpha = false

  /// Returns whether the option is a timer with a value that can be one.
  mutating func take(_ option: KeepalivedStatement) -> Bool {
    let word = option.arguments.first
    let seconds = word.flatMap { ConfigurationField<UInt32>.seconds(from: 100).parse($0) }
    switch (option.keyword, seconds) {
    case ("delay_loop", let value?): intervalMilliseconds = value
    case ("connect_timeout", let value?), ("misc_timeout", let value?): timeoutMilliseconds = value
    case ("retry", _):
      guard let count = word.flatMap({ UInt32($0) }), count < 255 else { return false }
      retries = count
    case ("alpha", _): isAlpha = KeepalivedImport.isTrue(word)
    default: return false
    }
    return true
  }

  /// A check comes up with one success and goes down when as many retries have failed.
  func schedule(retries kindsRetries: UInt32) -> CheckSchedule {
    var schedule = CheckSchedule()
    schedule.intervalMilliseconds = intervalMilliseconds
    schedule.timeoutMilliseconds = timeoutMilliseconds
    (schedule.rise, schedule.fall) = (1, (retries ?? kindsRetries) + 1)
    schedule.initial = isAlpha ? .down : .up
    return schedule
  }
}

extension KeepalivedImport {
  private static let checks: Set = [
    "TCP_CHECK", "HTTP_GET", "SSL_GET", "UDP_CHECK", "DNS_CHECK", "PING_CHECK", "MISC_CHECK",
  ]

  /// A BOOL of keepalived.conf(5); the word alone is yes.
  static func isTrue(_ word: String?) -> Bool {
    !["false", "no", "off"].contains(word?.lowercased())
  }

  private static func hostName(_ word: String) -> String? {
    ConfigurationField<String>.hostName.parse(word)
  }

  /// What a virtual or real server says of its checks and what follows from them.
  mutating func takeHealth(_ option: KeepalivedStatement, into draft: inout Draft) {
    let word = option.arguments.first
    let number = word.flatMap { UInt32($0) }
    switch (option.keyword, number) {
    case ("quorum", let number?) where number > 0: draft.health.quorum = number
    case ("hysteresis", let number?): draft.health.hysteresis = number
    case ("sorry_server", _):
      guard let address = word.flatMap({ IPAddress($0) }) else {
        return note(option, "is no address: give one")
      }
      draft.health.sorryServer = address
      draft.sorryServer = option
    case ("inhibit_on_failure", _), ("sorry_server_inhibit", _):
      draft.health.onFailure = Self.isTrue(word) ? .inhibit : .remove
    case ("virtualhost", _): draft.host = word.flatMap(Self.hostName)
    case ("delay_before_retry", _):
      note(option, "has no counterpart: what failed is asked again after its interval")
    case ("warmup", _): note(option, "has no counterpart: new checks begin one after another")
    case (let keyword, _):
      if Self.checks.contains(keyword) || draft.timers.take(option) { return }
      note(option, "is not carried: scripts, mail and other checks are keepalived's")
    }
  }

  /// A check of a real server, whose other options are known by now.
  mutating func takeCheck(_ option: KeepalivedStatement, into draft: inout Draft) {
    guard Self.checks.contains(option.keyword) else { return }
    var check = HealthCheck(.tcp)
    var timers = draft.timers
    let isSecure = option.keyword == "SSL_GET"
    var host = draft.host
    var (datagram, dns, hasName) = (DatagramQuestion(), DNSQuestion(), false)
    var (command, urls) = ("", [KeepalivedStatement]())
    for part in option.block {
      let word = part.arguments.first ?? ""
      switch part.keyword {
      case "connect_port": check.port = UInt16(word).flatMap { $0 == 0 ? nil : Port($0) }
      case "url" where isSecure || option.keyword == "HTTP_GET": urls.append(part)
      case "virtualhost": host = Self.hostName(word)
      case "enable_sni": hasName = true
      case "payload": datagram.payload = octets(part) ?? []
      case "require_reply":
        datagram.needsReply = true
        if !part.arguments.isEmpty { datagram.reply = octets(part) }
      case "name" where DNSMessage.isName(word): dns.name = word
      case "type":
        dns.type = DNSQuestion.RecordType.allCases.first { "\($0)" == word.uppercased() } ?? .SOA
      case "misc_path": command = part.arguments.joined(separator: " ")
      default:
        if !timers.take(part) { note(part, "is not carried: the check is made without it") }
      }
    }
    switch option.keyword {
    case "HTTP_GET", "SSL_GET":
      check.schedule = timers.schedule(retries: 1)
      for url in urls {
        let question = question(url, host: host)
        var tls = TLSQuestion()
        if hasName { tls.serverName = question.host }
        check.kind = isSecure ? .https(question, tls) : .http(question)
        draft.checks.append(check)
      }
      if urls.isEmpty { note(option, "is left out: it has no url") }
      return
    case "UDP_CHECK": check.kind = .udp(datagram)
    case "DNS_CHECK": check.kind = .dns(dns)
    case "PING_CHECK": check.kind = .ping
    case "MISC_CHECK":
      guard command.hasPrefix("/") else {
        return note(option, "is left out: give its program with an absolute path")
      }
      check.kind = .command(command)
    default: break
    }
    let retries: UInt32 = ["DNS_CHECK": 3, "MISC_CHECK": 0][option.keyword] ?? 1
    check.schedule = timers.schedule(retries: retries)
    draft.checks.append(check)
  }

  /// A `url` block.
  private mutating func question(_ url: KeepalivedStatement, host: String?) -> HTTPQuestion {
    var question = HTTPQuestion()
    question.host = host
    for part in url.block {
      let word = part.arguments.first ?? ""
      let fields = ConfigurationField<[ClosedRange<UInt16>]>.statuses
      switch part.keyword {
      case "path":
        question.path = ConfigurationField<String>.requestTarget.parse(word) ?? question.path
      case "status_code":
        let codes = fields.parse(part.arguments.joined(separator: ","))
        question.statuses = codes ?? question.statuses
      case "virtualhost": question.host = Self.hostName(word)
      default: note(part, "is not carried: the answer is not compared with it")
      }
    }
    return question
  }

  /// HEX_STR of keepalived.conf(5): a word's last digit is an octet if it stands alone.
  private mutating func octets(_ part: KeepalivedStatement) -> [UInt8]? {
    let words = part.arguments.flatMap { $0.split(separator: " ") }
    let digits = words.map { word in
      word.count % 2 == 0 ? String(word) : word.dropLast() + "0\(word.suffix(1))"
    }.joined()
    let octets = ConfigurationField<[UInt8]>.octets(inHex: digits)
    if octets == nil { note(part, "is no string of hexadecimal digits: it is left out") }
    return octets
  }

  /// What all real servers are asked alike is said once.
  mutating func health(
    _ draft: Draft, _ checks: [IPAddress: [HealthCheck]], of key: VirtualServiceKey
  ) -> ServiceHealth {
    var health = draft.health
    let isChecked = checks.values.contains { !$0.isEmpty }
    if !isChecked && health.sorryServer == nil { return ServiceHealth() }
    if Set(checks.values).count == 1 {
      health.checks = checks.values.first ?? []
    } else {
      health.ownChecks = checks.filter { !$0.value.isEmpty }
    }
    health.hysteresis = min(health.hysteresis, health.quorum - 1)
    if let address = health.sorryServer, let option = draft.sorryServer {
      health.sorryServer = nil
      let port = option.arguments.dropFirst().first.map { Port(UInt16($0) ?? 0) } ?? key.port
      do {
        guard checks[address] == nil else { throw DirectorError.realServerExists(address, key) }
        try RealServerConfiguration(address: address, port: port).validate(for: key)
        health.sorryServer = address
      } catch {
        note(option, "is left out: \(error)")
      }
    }
    return health
  }
}
