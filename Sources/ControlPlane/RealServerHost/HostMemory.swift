// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What `up` changed and `down` has to undo.
struct HostRecord: Codable, Equatable {
  /// VIPs that are up, and whether we added the address.
  var vips: [String: Bool] = [:]
  /// What the sysctls were that we changed.
  var sysctls: [String: String] = [:]
}

/// A file per network namespace, under /run because addresses and sysctls end with the boot too.
struct HostMemory {
  let directory: String

  /// Reads the record, lets `body` change it and the host, and writes what came of it, also when
  /// `body` fails half way. One process at a time.
  func update<Value>(
    _ body: (inout HostRecord) throws(RealServerHost.Failure) -> Value
  ) throws(RealServerHost.Failure) -> Value {
    let path = directory + "/\(namespaceCookie()).json"
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    } catch {
      throw failure("create \(directory)", error)
    }
    let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0, flock(lock, LOCK_EX) == 0 else {
      throw failure("lock \(path)", String(cString: strerror(errno)))
    }
    defer { close(lock) }
    var record = try read(path)
    let before = record
    let result = Result { () throws(RealServerHost.Failure) in try body(&record) }
    if record != before { try write(record, path) }
    return try result.get()
  }

  private func read(_ path: String) throws(RealServerHost.Failure) -> HostRecord {
    guard let data = FileManager.default.contents(atPath: path) else { return HostRecord() }
    do {
      return try JSONDecoder().decode(HostRecord.self, from: data)
    } catch {
      throw RealServerHost.Failure(
        description: "\(path) is damaged: remove it and what it lists from lo by hand")
    }
  }

  private func write(_ record: HostRecord, _ path: String) throws(RealServerHost.Failure) {
    do {
      guard record != HostRecord() else {
        try FileManager.default.removeItem(atPath: path)
        return
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try encoder.encode(record).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw failure("write \(path)", error)
    }
  }

  private func failure(_ action: String, _ cause: Any) -> RealServerHost.Failure {
    RealServerHost.Failure(description: "cannot \(action): \(cause); run as root")
  }

  /// SO_NETNS_COOKIE (Linux 5.14) is never given twice in one boot, unlike the inode that stands in
  /// on older kernels.
  private func namespaceCookie() -> UInt64 {
    let cookieOption: Int32 = 71
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var cookie: UInt64 = 0
    var size = socklen_t(MemoryLayout<UInt64>.size)
    if getsockopt(descriptor, SOL_SOCKET, cookieOption, &cookie, &size) == 0 { return cookie }
    var status = stat()
    return stat("/proc/thread-self/ns/net", &status) == 0 ? UInt64(status.st_ino) : 0
  }
}
