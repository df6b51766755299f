// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One of the settings that keep a real server from answering for a VIP.
struct Sysctl {
  let wanted: String
  /// Other values that do as well.
  let alsoRight: Set<String>

  /// The kernel takes the larger of `all` and the interface that a request comes in on; `lo` is set
  /// as the LVS documentation has it.
  static let realServer = ["all", "lo"].flatMap { interface in
    [
      // 2 answers in addition only to senders of the same subnet.
      Sysctl(interface: interface, setting: "arp_ignore", wanted: "1", alsoRight: ["2"]),
      Sysctl(interface: interface, setting: "arp_announce", wanted: "2", alsoRight: []),
    ]
  }

  /// An interface's own larger value may undo what `all` says.
  static func checkInterfaces() throws(RealServerHost.Failure) -> [RealServerHost.Finding] {
    let interfaces =
      (try? FileManager.default.contentsOfDirectory(atPath: "/proc/sys/net/ipv4/conf")) ?? []
    return interfaces.filter { !["all", "default", "lo"].contains($0) }.sorted().compactMap {
      let sysctl = Sysctl(
        interface: $0, setting: "arp_ignore", wanted: "1", alsoRight: ["0", "2"])
      let finding = try? sysctl.check()
      return finding?.isRight ?? true ? nil : finding
    }
  }

  private let interface: String
  private let setting: String

  private init(interface: String, setting: String, wanted: String, alsoRight: Set<String>) {
    self.interface = interface
    self.setting = setting
    self.wanted = wanted
    self.alsoRight = alsoRight
  }

  /// As sysctl(8) takes it: dots in an interface's name are slashes.
  var name: String {
    "net.ipv4.conf.\(interface.replacingOccurrences(of: ".", with: "/")).\(setting)"
  }

  private var path: String { "/proc/sys/net/ipv4/conf/\(interface)/\(setting)" }

  private func isRight(_ value: String) -> Bool { value == wanted || alsoRight.contains(value) }

  private func read() throws(RealServerHost.Failure) -> String {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw RealServerHost.Failure(description: "cannot read \(path): mount /proc")
    }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func write(_ value: String) throws(RealServerHost.Failure) {
    do {
      try Data((value + "\n").utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      throw RealServerHost.Failure(
        description: "cannot set \(name) to \(value): run as root, with /proc/sys writable")
    }
  }

  /// Sets it if need be and records what it was.
  func require(_ record: inout HostRecord) throws(RealServerHost.Failure) -> [String] {
    let value = try read()
    guard !isRight(value) else { return [] }
    record.sysctls[name] = record.sysctls[name] ?? value
    try write(wanted)
    return ["set \(name) from \(value) to \(wanted)"]
  }

  /// Sets back what `require` changed, unless another hand changed it since.
  func restore(_ record: inout HostRecord) throws(RealServerHost.Failure) -> [String] {
    guard let value = record.sysctls.removeValue(forKey: name), try read() == wanted else {
      return []
    }
    try write(value)
    return ["set \(name) back to \(value)"]
  }

  func check() throws(RealServerHost.Failure) -> RealServerHost.Finding {
    let value = try read()
    return RealServerHost.Finding(
      statement: "\(name) is \(value)",
      mend: isRight(value) ? nil : "sysctl -w \(name)=\(wanted)")
  }
}
