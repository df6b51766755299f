// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// A certificate with its key, and a token, in files.
final class Secrets {
  let folder = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
  var certificate: String { folder + "/certificate.pem" }
  var key: String { folder + "/key.pem" }
  var token: String { folder + "/token" }
  private(set) var word = ""

  init() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try make()
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func make() throws {
    word = UUID().uuidString
    try "\(word)\n".write(toFile: token, atomically: true, encoding: .utf8)
    chmod(token, 0o600)
    let (ending, output) = try Child.run([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-subj", "/CN=director", "-addext", "subjectAltName=IP:127.0.0.1,IP:192.168.1.150", "-days",
      "2", "-keyout",
      key, "-out", certificate,
    ])
    guard ending == .exit(0) else { throw Failure("openssl: \(output)") }
    chmod(key, 0o600)
  }
}
