// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Foundation
import Logging
import TestSupport
import Testing

@testable import AdminServer

/// Clients of the API's TCP port who never finish what they begin, and files that are no secrets.
@Suite struct RemoteTests {
  /// A server with TLS beside one on a Unix socket, and a hostile client's descriptor of it.
  private func serve(
    limits: ClientLimits,
    _ body: @escaping @Sendable (_ port: UInt16, _ socketPath: String, SecretFiles) -> Void
  ) async throws {
    let secrets = try SecretFiles()
    let port = UInt16.random(in: 20_000..<30_000)
    let endpoint = try secrets.endpoint(port: port)
    try await AdminDesk.serve { desk in
      let (opened, open) = AsyncStream<Void>.makeStream()
      let server = APIServer(
        director: desk.director, endpoint: endpoint, credentials: try APICredentials(endpoint),
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, limits: limits,
        opened: { open.yield() })
      let serving = Task { try await server.run() }
      for await _ in opened { break }
      let path = desk.socketPath
      await onThread { body(port, path, secrets) }
      // The next honest client is served.
      let honest = await onThread { () -> String in
        var status = ""
        for _ in 0..<200 where status != "200" {
          status = secrets.curl(port)
          usleep(20_000)
        }
        return status
      }
      #expect(honest == "200")
      serving.cancel()
      try await serving.value
    }
  }

  @Test(.requires(.commands("curl", "openssl")))
  func handshakesThatNeverEndAreCutOff() async throws {
    let limits = ClientLimits(requestTime: .milliseconds(300), connections: 4)
    try await serve(limits: limits) { port, path, _ in
      // A record's head (RFC 8446 §5.1) that promises a ClientHello, nothing, and no TLS at all.
      let beginnings: [[UInt8]] = [
        [], [22], [22, 3, 1, 2, 0, 1], [22, 3, 1, 0, 4, 1, 0, 255, 255],
      ]
      let clients = beginnings.map { Self.connection(to: port, beginning: $0) }
      // All places are taken, and the Unix socket has its own.
      #expect(RawClient.get("/v1/timeouts", at: path)?.status == 200)
      for descriptor in clients {
        let client = RawClient(descriptor: descriptor)
        #expect(client.readToEnd() != nil)
      }
    }
  }

  /// As far into the handshake as a client's first word goes, at once or octet by octet: it is cut
  /// off, and of twelve no more than twice the places are heard at a time.
  @Test(.requires(.commands("curl", "openssl")))
  func handshakesThatStallAreCutOff() async throws {
    let hello = try firstFlight()
    try await serve(limits: ClientLimits(requestTime: .seconds(3), connections: 4)) {
      port, path, _ in
      let start = ContinuousClock.now
      let crowd = (0..<12).map { _ in Self.connection(to: port, beginning: hello) }
      #expect(RawClient.get("/v1/timeouts", at: path)?.status == 200)
      // A handshake's record (RFC 8446 §5.1) was sent to each, to the last ones after the others.
      let answers = crowd.map { RawClient(descriptor: $0).readToEnd() }
      #expect(answers.allSatisfy { $0?.first == 22 })
      #expect(ContinuousClock.now - start > .seconds(3), "eight in 3 s")
      let second = ContinuousClock.now
      #expect(Self.trickle(hello, to: port) != nil)
      #expect(ContinuousClock.now - second < .seconds(30))
    }
  }

  /// The handshake is done, and the request comes an octet at a time.
  @Test(.requires(.commands("curl", "openssl")))
  func aTrickleWithinTLSEnds() async throws {
    try await serve(limits: ClientLimits(requestTime: .milliseconds(500))) { port, _, _ in
      let answer = try? Child.run([
        "sh", "-c",
        "(printf 'GET / HTTP/1.1\\r\\nA: '; while sleep 0.02; do printf a || exit; done)"
          + " | openssl s_client -quiet -connect 127.0.0.1:\(port) 2>/dev/null",
      ])
      #expect(answer?.output.hasPrefix("HTTP/1.1 408 ") == true, "\(String(describing: answer))")
    }
  }

  /// Who comes when all places are taken is told so, and when as many are being told, waits.
  @Test(.requires(.commands("curl", "openssl")))
  func whoFindsNoPlaceIsTold() async throws {
    try await serve(limits: ClientLimits(requestTime: .seconds(3), connections: 2)) {
      port, path, secrets in
      let served = (0..<2).map { _ in RawClient.connected(port: port) }
      #expect(secrets.curl(port) == "503")
      // That one's place is free again.
      usleep(200_000)
      let turnedAway = (0..<2).map { _ in RawClient.connected(port: port) }
      #expect(RawClient.get("/v1/timeouts", at: path)?.status == 200)
      #expect(["200", "503"].contains(secrets.curl(port)))
      for descriptor in served + turnedAway {
        #expect(RawClient(descriptor: descriptor).readToEnd() != nil)
      }
    }
  }

  private static func connection(to port: UInt16, beginning octets: [UInt8]) -> Int32 {
    let descriptor = RawClient.connected(port: port)
    _ = octets.withUnsafeBytes {
      send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    return descriptor
  }

  /// Sends an octet at a time until the server has enough of it; returns what that said.
  private static func trickle(_ octets: [UInt8], to port: UInt16) -> Data? {
    let client = RawClient(descriptor: RawClient.connected(port: port))
    for octet in octets {
      guard client.send([octet]) else { break }
      usleep(20_000)
    }
    return client.readToEnd()
  }

  /// What `openssl s_client` sends to a server before it has heard anything.
  private func firstFlight() throws -> [UInt8] {
    let listener = try LoopbackListener()
    defer { close(listener.descriptor) }
    let client = try Child(["openssl", "s_client", "-connect", "127.0.0.1:\(listener.port)"])
    defer { client.send(SIGKILL) }
    let connection = accept(listener.descriptor, nil, nil)
    defer { close(connection) }
    var octets = [UInt8](repeating: 0, count: 4096)
    let count = recv(connection, &octets, octets.count, 0)
    try #require(count > 100 && octets[0] == 22)
    return Array(octets[..<count])
  }

  @Test(.requires(.commands("curl", "openssl")))
  func anyOctetsAreAnsweredOrCutOff() async throws {
    try await serve(limits: ClientLimits(requestTime: .milliseconds(300))) { port, _, _ in
      var seed = Seed(21)
      for number in 0..<60 {
        let descriptor = RawClient.connected(port: port)
        let client = RawClient(descriptor: descriptor)
        var octets = (0..<Int.random(in: 0...400, using: &seed)).map { _ in
          UInt8.random(in: 0...255, using: &seed)
        }
        if number % 2 == 0, octets.count > 3 { octets.replaceSubrange(0..<3, with: [22, 3, 1]) }
        client.send(octets)
        client.finishSending()
        #expect(client.readToEnd() != nil)
      }
      let plain = RawClient(descriptor: RawClient.connected(port: port))
      plain.send("GET / HTTP/1.1\r\n\r\n".utf8)
      let answer = plain.answer()
      #expect(answer?.status == 400 && answer?.text.contains("https://") == true)
    }
  }

  @Test(.requires(.commands("openssl")))
  func filesThatAreNoSecretsAreNamed() throws {
    let secrets = try SecretFiles()
    func refusal() throws -> String? {
      let endpoint = try secrets.endpoint(port: 9750)
      do throws(APICredentialsError) {
        _ = try APICredentials(endpoint)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(try refusal() == nil)
    for path in [secrets.token, secrets.key] {
      for mode: mode_t in [0o644, 0o660, 0o604] {
        chmod(path, mode)
        #expect(try refusal()?.contains("chmod 640 a plain file") == true, "\(mode)")
      }
      chmod(path, 0o640)
      #expect(try refusal() == nil)
    }
    for word in ["", "short", "seventeen letters\nand a line", String(repeating: "é", count: 20)] {
      try secrets.write(word, to: secrets.token)
      let sentence = try refusal()
      #expect(sentence?.contains("openssl rand -hex 32") == true)
      #expect(word.isEmpty || sentence?.contains(word) == false)
    }
    try secrets.write("0123456789abcdef", to: secrets.token)
    try secrets.write("no key", to: secrets.key)
    #expect(try refusal()?.contains("has not the certificate's key") == true)
    unlink(secrets.certificate)
    #expect(try refusal()?.contains("has no certificate that can be used") == true)
    unlink(secrets.token)
    #expect(try refusal()?.contains("No such file or directory") == true)
  }
}

/// What the API's server has in files.
private final class SecretFiles: Sendable {
  let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
  var certificate: String { folder + "/certificate.pem" }
  var key: String { folder + "/key.pem" }
  var token: String { folder + "/token" }

  init() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try write("0123456789abcdef", to: token)
    let (ending, output) = try Child.run([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-subj", "/CN=director", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout",
      key, "-out", certificate,
    ])
    guard ending == .exit(0) else { throw Failure("openssl: \(output)") }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func write(_ text: String, to path: String) throws {
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o600)
  }

  /// As the configuration file gives it.
  func endpoint(port: UInt16) throws -> APIEndpoint {
    let yaml = """
      interface: {name: lan0}
      api: {listen: "127.0.0.1:\(port)", certificate: \(certificate), key: \(key),
        token-file: \(token)}
      """
    return try SiteConfiguration(yaml: yaml).api!
  }

  /// The status that curl gets with the token.
  func curl(_ port: UInt16) -> String {
    let answer = try? Child.run([
      "curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", certificate,
      "-H", "Authorization: Bearer 0123456789abcdef", "https://127.0.0.1:\(port)/v1/timeouts",
    ])
    return answer?.output ?? "none"
  }
}
