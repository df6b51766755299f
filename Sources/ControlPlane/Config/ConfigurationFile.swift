// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A configuration file by its path.
public struct ConfigurationFile: Hashable, Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// Throws all that is wrong with it.
  public func read() throws(ConfigurationFileError) -> SiteConfiguration {
    let text = try text()
    do {
      return try SiteConfiguration(yaml: text)
    } catch {
      throw .wrong(error.findings.map { "\(path): \($0)" })
    }
  }

  /// What stands in it.
  public func text() throws(ConfigurationFileError) -> String {
    let limit = SiteConfiguration.largestFileBytes
    let data: Data
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      data = try file.read(upToCount: limit + 1) ?? Data()
    } catch {
      throw .unreadable("\(path) cannot be read: \(Self.reason(error)): name a readable file")
    }
    guard data.count <= limit else {
      throw .wrong(["\(path) is larger than \(limit) octets: give a configuration file"])
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw .wrong(["\(path) is not UTF-8: give a configuration file"])
    }
    return text
  }

  /// Puts `site` in its place at once, with the same mode. What was there, comments and all, is
  /// kept as `previousPath`.
  func write(_ site: SiteConfiguration) throws(ConfigurationFileError) {
    let new = path + ".new"
    do {
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
      try Data(try site.yaml.utf8).write(to: URL(fileURLWithPath: new))
      try FileManager.default.setAttributes([.posixPermissions: mode as Any], ofItemAtPath: new)
      try? FileManager.default.removeItem(atPath: previousPath)
      try FileManager.default.linkItem(atPath: path, toPath: previousPath)
    } catch {
      try? FileManager.default.removeItem(atPath: new)
      throw .unwritable(
        "\(path) cannot be written: \(Self.reason(error)): let the director write to its folder")
    }
    guard rename(new, path) == 0 else {
      throw .unwritable(
        "\(path) cannot be replaced: \(String(cString: strerror(errno))): let the director write "
          + "to its folder")
    }
  }

  /// Where `write` keeps what was there.
  var previousPath: String { path + ".old" }

  private static func reason(_ error: any Error) -> String {
    let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    return cause.domain == NSPOSIXErrorDomain ? cause.localizedDescription : "\(cause)"
  }
}

/// Why a configuration file cannot be used; sentences with cause and mend.
public enum ConfigurationFileError: Error, Hashable, Sendable, CustomStringConvertible {
  case unreadable(String)
  case unwritable(String)
  /// One or more, by line.
  case wrong([String])

  /// A line per sentence.
  public var description: String {
    switch self {
    case .unreadable(let sentence), .unwritable(let sentence): sentence
    case .wrong(let sentences): sentences.joined(separator: "\n")
    }
  }
}
