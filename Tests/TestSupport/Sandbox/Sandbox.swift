// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The capabilities and system calls that the shipped unit leaves a director: each one that a test
/// starts has no more.
public enum Sandbox {
  /// `martinet.service` as it is shipped.
  public static let unit = file("../../../Sources/martinet/martinet.service")
  private static let launcher = file("sandbox.py")

  /// What stands before a director's command; empty, with a line that says so, where the machine
  /// cannot make a sandbox.
  public static let prefix: [String] = {
    let maker = try? Child.run(["/usr/bin/python3", "-B", launcher.path, unit.path])
    let output = maker?.output ?? ""
    let prefix = (try? JSONDecoder().decode([String].self, from: Data(output.utf8))) ?? []
    let probe = try? Child.run(prefix + ["true"])
    guard maker?.ending == .exit(0), !prefix.isEmpty, probe?.ending == .exit(0) else {
      print("DIRECTORS RUN WITHOUT THE UNIT'S SANDBOX: \(output) \(probe?.output ?? "")")
      return []
    }
    return prefix
  }()

  private static func file(_ path: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: path).standardizedFileURL
  }
}
