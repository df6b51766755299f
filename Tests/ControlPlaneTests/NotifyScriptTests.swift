// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

@testable import ControlPlane

/// Scripts for changes of role that do not do as they should.
@Suite struct NotifyScriptTests {
  /// One that hangs is killed and named, and does not keep the next change from its script.
  @Test func aScriptThatHangsIsKilled() async throws {
    let path = NSTemporaryDirectory() + "martinet-test-\(UUID().uuidString)"
    let heard = path + ".heard"
    defer { for name in [path, heard] { unlink(name) } }
    try """
    #!/bin/sh
    echo "$$ $*" >> \(heard)
    [ "$3" != MASTER ] || sleep 1000
    [ "$3" != BACKUP ] || exit 3

    """.write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o755)
    let book = LogBook()
    let script = NotifyScript(
      path, interface: "lan0", limit: .milliseconds(500), logger: book.logger)
    script.tell(.master)
    script.tell(.backup)
    script.stop()
    await script.run()
    let calls = try String(contentsOfFile: heard, encoding: .utf8).split(separator: "\n")
      .map { $0.split(separator: " ", maxSplits: 1) }
    #expect(
      calls.map { String($0[1]) } == ["MASTER", "BACKUP", "STOP"].map { "INSTANCE lan0 \($0) 100" })
    // All of them are buried.
    #expect(calls.allSatisfy { kill(pid_t($0[0])!, 0) == -1 && errno == ESRCH })
    #expect(
      book.lines == [
        "notify script: has not ended after 0.5 seconds and was killed command=\(path)"
          + " state=MASTER",
        "notify script: exit code 3 command=\(path) state=BACKUP",
      ])
  }
}
