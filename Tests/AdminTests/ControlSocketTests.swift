// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import Foundation
import Testing

@testable import AdminServer

@Suite struct ControlSocketTests {
  private let path = temporarySocketPath()

  private func mode() -> mode_t? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode : nil
  }

  /// `bind` with the usual umask of 022 alone would give 0755.
  @Test func onlyTheOwnerMayOpenIt() throws {
    let listener = try ListeningSocket(path: path)
    defer { close(listener.descriptor) }
    #expect(mode() == S_IFSOCK | 0o600)
    listener.remove()
    #expect(mode() == nil)
  }

  @Test func aDeadDirectorsSocketIsReplaced() throws {
    let dead = try ListeningSocket(path: path)
    close(dead.descriptor)
    #expect(mode() != nil)
    let listener = try ListeningSocket(path: path)
    defer { close(listener.descriptor) }
    // What the dead one would remove is not the file any more.
    dead.remove()
    #expect(mode() == S_IFSOCK | 0o600)
    listener.remove()
  }

  @Test func aLivingDirectorsSocketIsLeftAlone() throws {
    let listener = try ListeningSocket(path: path)
    defer {
      listener.remove()
      close(listener.descriptor)
    }
    #expect(throws: ControlSocketError.inUse(path: path)) { try ListeningSocket(path: path) }
    #expect(mode() == S_IFSOCK | 0o600)
  }

  @Test func otherFilesAreLeftAlone() throws {
    try Data("precious".utf8).write(to: URL(filePath: path))
    defer { unlink(path) }
    #expect(throws: ControlSocketError.otherFile(path: path)) { try ListeningSocket(path: path) }
    #expect(try Data(contentsOf: URL(filePath: path)) == Data("precious".utf8))
  }

  @Test func symbolicLinksAreNotFollowed() throws {
    #expect(symlink("/dev/null", path) == 0)
    defer { unlink(path) }
    #expect(throws: ControlSocketError.otherFile(path: path)) { try ListeningSocket(path: path) }
  }

  /// unix(7): 108 bytes with the one that ends it.
  @Test(arguments: [0, 108, 5000]) func pathsHaveALimit(count: Int) {
    let path = String(repeating: "a", count: count)
    #expect(throws: ControlSocketError.tooLong(path: path, limit: 107)) {
      try ListeningSocket(path: path)
    }
  }

  @Test func aMissingFolderIsNamed() {
    #expect(throws: ControlSocketError.failed(path: "/nonexistent/x", "bind it", ENOENT)) {
      try ListeningSocket(path: "/nonexistent/x")
    }
  }

  @Test func aSecondServerOnTheSameSocketIsRefused() async throws {
    try await AdminDesk.serve { desk in
      let second = AdminServer(
        director: desk.director, socketPath: desk.socketPath, logger: .init(label: "second"))
      await #expect(throws: ControlSocketError.inUse(path: desk.socketPath)) {
        try await second.run()
      }
      #expect(await desk.ipvsadm("-L --timeout").exitCode == 0)
    }
  }

  // MARK: The client

  private func ipvsadm(_ path: String) -> (complaint: String, exitCode: Int32) {
    var complaint = ""
    let client = ControlClient(socketPath: path, timeoutSeconds: 1)
    let code = Ipvsadm(programName: "ipvsadm", client: client, names: .none).run(
      ["-Ln"], input: { nil }, write: { _ in }, complain: { complaint += $0 })
    return (complaint, code)
  }

  @Test func withoutADirectorTheSocketIsNamed() throws {
    let sentence = """
      ipvsadm: no director answers at \(path): start `martinet run`, or name its socket in \
      MARTINET_CONTROL

      """
    #expect(ipvsadm(path) == (sentence, 2))
    close(try ListeningSocket(path: path).descriptor)
    defer { unlink(path) }
    #expect(ipvsadm(path) == (sentence, 2))
  }

  @Test func aDirectorThatDoesNotAnswerIsGivenUp() throws {
    let listener = try ListeningSocket(path: path)
    defer {
      listener.remove()
      close(listener.descriptor)
    }
    let (complaint, code) = ipvsadm(path)
    #expect(complaint == "ipvsadm: the director at \(path) does not answer in time: see its log\n")
    #expect(code == 2)
  }

  @Test(arguments: [
    "", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
  ])
  func otherServersAreNotBelieved(answer: String) async throws {
    let listener = try ListeningSocket(path: path)
    let descriptor = listener.descriptor
    Thread.detachNewThread {
      let client = accept(descriptor, nil, nil)
      _ = answer.withCString { write(client, $0, strlen($0)) }
      close(client)
    }
    let path = path
    let (complaint, code) = await onThread { ipvsadm(path) }
    listener.remove()
    close(descriptor)
    #expect(complaint.hasSuffix("is not a director of this version: restart `martinet run`\n"))
    #expect(code == 2)
  }
}
