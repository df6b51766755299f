// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import AdminServer
import ArgumentParser
import ControlPlane
import DataPlane
import Foundation

/// `martinet config import`: from what another director is told to a configuration file.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make a configuration file of another director's.",
    discussion: """
      The new file goes to standard output; what could not be carried goes to standard error, a \
      line each.
      """,
    subcommands: [Keepalived.self, Ipvsadm.self])

  struct Source: ParsableArguments {
    @Argument(help: "The file to convert.")
    var path: String

    @Option(help: "The interface that requests come in on.")
    var interface: String

    @Flag(help: "Print both as one JSON document.")
    var json = false

    func text() throws -> String {
      do {
        return try ConfigurationFile(path: path).text()
      } catch {
        throw Refusal(error).said()
      }
    }

    /// Prints the file, and says what is not in it.
    func finish(
      _ tables: [SiteConfiguration.ServiceTable], timeouts: TimeoutConfiguration = .lvs,
      findings: [ConfigurationFinding]
    ) throws {
      var site = SiteConfiguration(ports: [PortConfiguration(interface: interface)])
      (site.tables, site.timeouts) = (tables, timeouts)
      if json {
        let leftOut = findings.map(FindingReport.init)
        return try printJSON(ImportReport(configuration: try site.yaml, leftOut: leftOut))
      }
      print(try site.yaml, terminator: "")
      for finding in findings {
        FileHandle.standardError.write(Data("\(path): \(finding)\n".utf8))
      }
    }
  }

  struct Keepalived: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the virtual servers of a keepalived.conf.",
      discussion: "VRRP, scripts and mail stay with keepalived.")
    @OptionGroup var source: Source

    func run() throws {
      let result = KeepalivedImport(try source.text())
      try source.finish(result.tables, findings: result.findings)
    }
  }

  struct Ipvsadm: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the services that `ipvsadm -Sn` wrote.")
    @OptionGroup var source: Source

    func run() throws {
      var rules = ImportedRules()
      var findings: [ConfigurationFinding] = []
      let parser = RestoreParser(parser: IpvsadmParser())
      for (number, result) in parser.each(try source.text()) {
        do {
          try rules.apply(try result.get())
        } catch {
          findings.append(
            ConfigurationFinding(line: number, path: "", cause: "is left out: \(error)"))
        }
      }
      try source.finish(rules.tables, timeouts: rules.timeouts, findings: findings)
    }
  }
}
