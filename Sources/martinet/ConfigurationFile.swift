// SPDX-License-Identifier: Apache-2.0
import ControlPlane
import Foundation

/// A configuration file that a command names.
struct ConfigurationFile {
  let path: String

  /// Says all that is wrong with it, a line each, where it cannot be read.
  func read() throws -> SiteConfiguration {
    let limit = SiteConfiguration.largestFileBytes
    let data: Data
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      data = try file.read(upToCount: limit + 1) ?? Data()
    } catch {
      let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
      let reason = cause.domain == NSPOSIXErrorDomain ? cause.localizedDescription : "\(cause)"
      throw Refusal.noInput("\(path) cannot be read: \(reason): name a readable file").said()
    }
    guard data.count <= limit else {
      throw Refusal.data("\(path) is larger than \(limit) octets: give a configuration file").said()
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw Refusal.data("\(path) is not UTF-8: give a configuration file").said()
    }
    do {
      return try SiteConfiguration(yaml: text)
    } catch {
      let lines = error.findings.map { "\(path): \($0)" }
      throw Refusal.data(lines.joined(separator: "\nmartinet: ")).said()
    }
  }
}
