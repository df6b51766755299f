// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import ControlPlane

/// `martinet config`: the configuration file, without a director.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Check, show and import configuration files.",
    subcommands: [Check.self, Show.self, ImportCommand.self])

  struct File: ParsableArguments {
    @Argument(help: "The configuration file.")
    var path = "/etc/martinet/martinet.yaml"

    func read() throws -> SiteConfiguration {
      try saying { file throws(ConfigurationFileError) in try file.read() }
    }

    func text() throws -> String {
      try saying { file throws(ConfigurationFileError) in try file.text() }
    }

    private func saying<Value>(
      _ read: (ConfigurationFile) throws(ConfigurationFileError) -> Value
    ) throws -> Value {
      do throws(ConfigurationFileError) {
        return try Waiting.during("reading \(path)") { () throws(ConfigurationFileError) in
          try read(ConfigurationFile(path: path))
        }
      } catch {
        throw Refusal(error).said()
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Name every error by line and key, and how to mend it.",
      discussion: "Exits with 65 if there is any.")
    @OptionGroup var file: File

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      if json { return try printReport() }
      let site = try file.read()
      print(
        "\(file.path) is right: services \(site.tables.count), "
          + "real servers \(site.realServerCount)")
    }

    private func printReport() throws {
      let text = try file.text()
      var report = ConfigurationCheckReport(file: file.path)
      do throws(ConfigurationFindings) {
        let site = try SiteConfiguration(yaml: text)
        (report.services, report.realServers) = (site.tables.count, site.realServerCount)
      } catch {
        report.findings = error.findings.map(FindingReport.init)
      }
      try printJSON(report)
      guard report.findings.isEmpty else { throw Refusal.wrongContents }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what the file means, defaults included.")
    @OptionGroup var file: File

    @Flag(help: "Print it as JSON, which a configuration file may be too.")
    var json = false

    func run() throws {
      let site = try file.read()
      if json { return try printJSON(site.document) }
      print(try site.yaml, terminator: "")
    }
  }
}

extension SiteConfiguration {
  fileprivate var realServerCount: Int { tables.reduce(0) { $0 + $1.realServers.count } }
}

extension FindingReport {
  init(_ finding: ConfigurationFinding) {
    self.init(
      line: finding.line, column: finding.column,
      path: finding.path.isEmpty ? nil : finding.path, cause: finding.cause, mend: finding.mend)
  }
}
