// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import Foundation

extension Routes {
  /// All that is served, and so all that the OpenAPI document describes.
  static let table: [Route] = services + realServers + readings + changes

  private static let servicePath = "/v1/services/{protocol}/{address}/{port}"
  private static let serverPath = servicePath + "/real-servers/{server}/{server-port}"

  private static let services = [
    Route(
      .GET, "/v1/services", "All services", gives: .named("TableReport"),
      also: [("text/csv", .string)]
    ) { try await $0.services($1) },
    Route(
      .POST, "/v1/services", "Adds a service", takes: "ServiceRequest", .created,
      gives: .named("ServiceReport")
    ) { try await $0.addService($1) },
    Route(.DELETE, "/v1/services", "Removes all") { try await $0.clear($1) },
    Route(
      .GET, servicePath, "A service; one of a firewall mark is mark/{mark}/{4 or 6}",
      gives: .named("ServiceReport")
    ) { try await $0.service($1) },
    Route(
      .PATCH, servicePath, "Changes it", takes: "ServiceChange", gives: .named("ServiceReport")
    ) { try await $0.changeService($1) },
    Route(.DELETE, servicePath, "Removes it") { try await $0.deleteService($1) },
    Route(.POST, servicePath + "/zero", "Counts anew") { try await $0.zero($1) },
    Route(.POST, "/v1/zero", "Counts anew for all services") { try await $0.zero($1) },
  ]

  private static let realServers = [
    Route(
      .GET, servicePath + "/real-servers", "Its real servers",
      gives: .list(.named("RealServerReport"))
    ) { try await $0.realServers($1) },
    Route(
      .POST, servicePath + "/real-servers", "Adds a real server", takes: "RealServerRequest",
      .created, gives: .named("RealServerReport")
    ) { try await $0.addRealServer($1) },
    Route(.GET, serverPath, "A real server", gives: .named("RealServerReport")) {
      try await $0.realServer($1)
    },
    Route(
      .PATCH, serverPath, "Changes it", takes: "RealServerChange",
      gives: .named("RealServerReport")
    ) { try await $0.changeRealServer($1) },
    Route(.DELETE, serverPath, "Removes it") { try await $0.deleteRealServer($1) },
  ]

  private static let readings = [
    Route(.GET, "/v1/marks", "What marks stand for", gives: .list(.named("MarkReport"))) {
      try await $0.marks($1)
    },
    Route(.GET, "/v1/checks", "All health checks", gives: .list(.named("CheckReport"))) {
      routes, _ in try Response(.ok, await routes.director.checkStatuses().map(CheckReport.init))
    },
    Route(
      .GET, "/v1/connections", "A page of connections", gives: .named("ConnectionPageReport"),
      also: [("text/csv", .string)], query: ConnectionQuery.fieldNames + ["limit", "from"]
    ) { try await $0.connections($1) },
    Route(
      .GET, "/v1/connections/count", "How many a part of the tables has",
      gives: .named("ConnectionCountReport"), query: ConnectionQuery.fieldNames + ["from"]
    ) { try await $0.connectionCount($1) },
    Route(.GET, "/v1/queues", "Receive queues", gives: .list(.named("QueueReport"))) {
      routes, _ in try Response(.ok, await routes.director.queueReports())
    },
    Route(.GET, "/v1/program", "The eBPF program's counters", gives: .named("ProgramReport")) {
      routes, _ in try Response(.ok, ProgramReport(await routes.director.programCounters()))
    },
    Route(.GET, "/v1/neighbors", "Real servers' MACs", gives: .list(.named("NeighborReport"))) {
      routes, _ in
      try Response(.ok, await routes.director.neighborStatuses().map(NeighborReport.init))
    },
    // As other exporters do: one scrape configuration may have `params` for many of them.
    Route(.GET, "/metrics", "For Prometheus", also: [("text/plain", .string)], query: nil) {
      routes, _ in Response(metrics: await routes.director.metrics())
    },
    Route(.GET, "/v1/openapi.json", "This document", gives: .map(.any)) { _, _ in
      try Response(.ok, OpenAPI(table)).tagged(nil)
    },
  ]

  private static let changes = [
    Route(.GET, "/v1/timeouts", "Of idle connections", gives: .named("Timeouts")) {
      try await $0.timeouts($1)
    },
    Route(
      .PATCH, "/v1/timeouts", "Changes them; 0 keeps one", takes: "Timeouts",
      gives: .named("Timeouts")
    ) { try await $0.timeouts($1) },
    Route(
      .POST, "/v1/commands", "Changes in order", takes: "Commands",
      gives: .named("CommandsReport"), query: ["more"]
    ) { try await $0.commands($1) },
    Route(.GET, "/v1/vips", "Whose the VIPs are", gives: .named("VirtualAddressesReport")) {
      try await $0.virtualAddresses($1)
    },
    Route(
      .PUT, "/v1/vips", "Takes them or leaves them", takes: "RoleRequest",
      gives: .named("VirtualAddressesReport")
    ) { try await $0.changeRole($1) },
    Route(
      .POST, "/v1/vips/announce", "Tells the LAN again", gives: .named("VirtualAddressesReport")
    ) { try await $0.announce($1) },
    Route(.GET, "/v1/drains", "All drains", gives: .list(.named("DrainReport"))) {
      try await $0.drains($1)
    },
    Route(
      .POST, "/v1/drains", "Drains a real server", takes: "DrainRequest", .created,
      gives: .list(.named("DrainReport"))
    ) { try await $0.drain($1) },
    Route(.DELETE, "/v1/drains/{server}", "Ends its drains") { try await $0.cancelDrain($1) },
    Route(
      .DELETE, "/v1/drains/{server}/{protocol}/{address}/{port}", "Ends its drain in a service"
    ) { try await $0.cancelDrain($1) },
    Route(.GET, "/v1/configuration", "As a file", also: [("application/yaml", .string)]) {
      try await $0.configuration($1)
    },
    Route(
      .POST, "/v1/configuration/reload", "Does what the file says", takes: "ReloadRequest",
      gives: .named("ReloadReport")
    ) { try await $0.reload($1) },
    Route(.POST, "/v1/configuration/confirm", "Keeps what is on trial") {
      try await $0.confirm($1)
    },
    Route(
      .POST, "/v1/configuration/save", "Writes the file", gives: .named("SaveReport")
    ) { try await $0.save($1) },
  ]
}
