// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport

/// Programs that checks ask: HTTPS on port 8443, a DNS server on 5353, UDP echoes on 7777 and 7779,
/// zeros on TCP port 9001, and on UDP port 7780 and TCP port 9002 what hears all and says nothing.
final class CheckedPrograms {
  let path = NSTemporaryDirectory() + "martinet-test-" + UUID().uuidString
  private var programs: [Child] = []

  init(on host: Machine) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let made = try Child.run([
      "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
      "/CN=rs1.test", "-addext", "subjectAltName=DNS:rs1.test", "-keyout", "\(path)/key", "-out",
      "\(path)/certificate",
    ])
    guard made.ending == .exit(0) else { throw Failure("openssl: \(made.output)") }
    try """
    daemon off; master_process off; pid \(path)/pid; error_log stderr;
    events {}
    http {
      access_log off; client_body_temp_path \(path); proxy_temp_path \(path);
      fastcgi_temp_path \(path); uwsgi_temp_path \(path); scgi_temp_path \(path);
      ssl_certificate \(path)/certificate; ssl_certificate_key \(path)/key;
      server { listen 8443 ssl default_server; return 404; }
      server { listen 8443 ssl; server_name rs1.test; return 200 "all is well"; }
    }
    """.write(toFile: "\(path)/nginx.conf", atomically: true, encoding: .utf8)
    programs = [
      try host.start(["nginx", "-e", "stderr", "-c", "\(path)/nginx.conf"]),
      try host.start([
        "dnsmasq", "-k", "-C", "/dev/null", "-p", "5353", "-u", "root", "-R", "-h",
        "--address=/www.test/192.0.2.7", "--local=/test/", "-x", "\(path)/dnsmasq.pid",
      ]),
      try host.start(["socat", "UDP4-RECVFROM:7777,fork", "EXEC:/bin/cat"]),
      try host.start(["socat", "UDP4-RECVFROM:7779,fork", "EXEC:/bin/cat"]),
      try host.start(["socat", "-u", "UDP4-RECV:7780", "OPEN:/dev/null"]),
      try host.start(["socat", "TCP-LISTEN:9001,fork,reuseaddr", "EXEC:head -c 5000 /dev/zero"]),
      try host.start(["socat", "-u", "TCP-LISTEN:9002,fork,reuseaddr", "OPEN:/dev/null"]),
    ]
  }

  /// Ends all of them.
  func stop() {
    for program in programs {
      program.send(SIGTERM)
      _ = program.wait(seconds: 5)
    }
    try? FileManager.default.removeItem(atPath: path)
  }
}
