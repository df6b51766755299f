// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import DataPlane

/// The documents of AdminAPI by their names there; the tests hold every answer against them.
enum Schemas {
  static let all = common.merging(requests) { $1 }.merging(tables) { $1 }.merging(figures) { $1 }

  private static let removal = Schema.words(ServicePolicy.Removal.allCases.map(\.rawValue))
  private static let policyFields: [String: Schema] = [
    "removal": removal,
    "stray": .words(ServicePolicy.Stray.allCases.map(\.rawValue)),
    "ttl": .words(ServicePolicy.TimeToLive.allCases.map(\.rawValue)),
    "quiescentClients": .words(ServicePolicy.QuiescentClients.allCases.map(\.rawValue)),
  ]
  private static let port = Schema.whole(0...65535)
  private static let transport = Schema.words(["tcp", "udp", "sctp", "ip"])
  private static let service = Schema.named("VirtualServiceKey")
  private static let realServer = Schema.named("RealServerAddress")
  private static let counters = Schema.named("Counters")
  private static let weight = Schema.whole(0...UInt64(RealServerConfiguration.largestWeight))

  private static let common: [String: Schema] = [
    "Problem": .object(
      ["type": .string, "title": .string, "status": .whole(400...599), "detail": .string],
      optional: ["mend": .string, "errorNumber": .whole(1...4095)]),
    "VirtualServiceKey": .one([
      .object(["protocol": transport, "address": .string, "port": port]),
      .object(
        ["mark": .whole(1...UInt64(UInt32.max))], optional: ["ipVersion": .whole(4...6)]),
    ]),
    "RealServerAddress": .object(["address": .string, "port": port]),
    "Counters": .object(["connections": .count, "inPackets": .count, "inBytes": .count]),
    "ConnectionThresholds": .object(["upper": .word32, "lower": .word32]),
    "Persistence": .object(["timeout": .word32], optional: ["mask": .string]),
    "SchedulerFlags": .list(.words(["fallback", "port", "flag-3"])),
    "Scheduler": .words(Scheduler.allCases.map(\.rawValue)),
    "ServicePolicy": .object(policyFields),
    "ServicePolicyChange": .object([:], optional: policyFields),
    "Timeouts": .object(["tcp": .word32, "tcpFin": .word32, "udp": .word32]),
    "VirtualPorts": .object(["protocol": transport, "address": .string, "ports": .string]),
  ]

  private static let change: [String: Schema] = [
    "flags": .named("SchedulerFlags"), "persistence": .named("Persistence"),
    "isOnePacket": .flag, "policy": .named("ServicePolicyChange"),
  ]
  private static let thresholds = ["thresholds": Schema.named("ConnectionThresholds")]
  private static let serviceRequest = Schema.object(
    ["service": service, "scheduler": .named("Scheduler")], optional: change)
  private static let marking = Schema.object([
    "mark": .whole(1...UInt64(UInt32.max)), "ports": .named("VirtualPorts"),
  ])

  private static let requests: [String: Schema] = [
    "ServiceRequest": serviceRequest,
    "ServiceChange": .object(["scheduler": .named("Scheduler")], optional: change),
    "RealServerRequest": .object(
      ["realServer": realServer, "weight": weight], optional: thresholds),
    "RealServerChange": .object(["weight": weight], optional: thresholds),
    "DrainRequest": .object(
      ["address": .string],
      optional: ["service": service, "deadlineSeconds": .word32, "then": removal]),
    "ReloadRequest": .object(
      [:], optional: ["isPlan": .flag, "force": .flag, "confirmSeconds": .word32]),
    "RoleRequest": .object(["role": .words(["master", "backup"])]),
    "Commands": .list(
      .one(commands.sorted { $0.key < $1.key }.map { .object([$0.key: $0.value]) })),
  ]

  private static let commands: [String: Schema] = [
    "addService": serviceRequest, "editService": serviceRequest,
    "setPolicy": .object(["service": service, "policy": .named("ServicePolicyChange")]),
    "deleteService": .object(["service": service]),
    "addRealServer": realServerCommand, "editRealServer": realServerCommand,
    "deleteRealServer": .object(["service": service, "realServer": realServer]),
    "clear": .object([:]), "zero": .object([:], optional: ["service": service]),
    "setTimeouts": .object(["_0": .named("Timeouts")]),
    "addToMark": marking, "removeFromMark": marking,
  ]

  private static let realServerCommand = Schema.object(
    ["service": service, "realServer": realServer, "weight": weight], optional: thresholds)

  private static let tables: [String: Schema] = [
    "TableReport": .object([
      "connectionCapacity": .count, "services": .list(.named("ServiceReport")),
    ]),
    "ServiceReport": .object(
      [
        "service": service, "scheduler": .named("Scheduler"), "flags": .named("SchedulerFlags"),
        "isOnePacket": .flag, "policy": .named("ServicePolicy"), "statistics": counters,
        "rates": counters, "realServers": .list(.named("RealServerReport")),
      ], optional: ["persistence": .named("Persistence"), "hasQuorum": .flag]),
    "RealServerReport": .object(
      [
        "realServer": realServer, "weight": weight,
        "thresholds": .named("ConnectionThresholds"), "activeConnections": .count,
        "inactiveConnections": .count, "persistentConnections": .count, "isResolved": .flag,
        "statistics": counters, "rates": counters,
      ],
      optional: [
        "macAddress": .string, "health": .named("HealthReport"), "drain": .named("DrainPhase"),
      ]),
    "HealthReport": .object([
      "isUp": .flag, "isMember": .flag, "effectiveWeight": weight, "isSorryServer": .flag,
    ]),
    "MarkReport": .object([
      "mark": .whole(1...UInt64(UInt32.max)), "ports": .list(.named("VirtualPorts")),
    ]),
    "DrainPhase": .words(["draining", "empty", "ended"]),
    "DrainReport": .object(
      [
        "service": service, "realServer": realServer, "phase": .named("DrainPhase"),
        "then": removal, "elapsedSeconds": .count, "initialConnections": .count,
        "connections": .count,
      ],
      optional: [
        "secondsToDeadline": .count, "oldestSeconds": .count, "secondsToEmpty": .count,
      ]),
    "CommandsReport": .object([
      "failures": .list(.object(["index": .count, "problem": .named("Problem")]))
    ]),
    "ChangeReport": .object([
      "object": .string, "action": .words(["add", "change", "remove"]),
      "details": .list(.string),
    ]),
    "ReloadReport": .object([
      "changes": .list(.named("ChangeReport")), "undone": .list(.named("ChangeReport")),
      "needsRestart": .list(.string), "endingConnections": .count,
    ]),
    "SaveReport": .object(["changes": .list(.named("ChangeReport"))]),
    "VirtualAddressesReport": .object([
      "interface": .string, "role": .words(["master", "backup"]),
      "addresses": .list(.object(["address": .string, "isHeld": .flag])),
    ]),
  ]

  private static let figures: [String: Schema] = [
    "CheckReport": .object(
      [
        "number": .count, "check": .string, "realServer": .string, "isUp": .flag,
        "sinceSeconds": .number, "successes": .count, "failures": .count,
        "changes": .count, "lastSeconds": .number, "totalSeconds": .number,
      ], optional: ["lastFailure": .string]),
    "NeighborReport": .object(
      [
        "address": .string, "state": .words(["resolved", "silent", "unresolved"]),
        "ageSeconds": .count, "changes": .count, "silences": .count, "isFlapping": .flag,
        "isDuplicate": .flag, "services": .list(service),
      ], optional: ["macAddress": .string, "previousMACAddress": .string]),
    "ConnectionReport": .object([
      "service": service, "virtual": service, "clientAddress": .string, "clientPort": port,
      "realServer": realServer, "state": .words(Set(ConnectionQuery.stateNames).sorted()),
      "remainingSeconds": .word32, "idleSeconds": .word32,
    ]),
    "ConnectionPageReport": .object(
      ["connections": .list(.named("ConnectionReport"))], optional: ["next": .count]),
    "ConnectionCountReport": .object(["connections": .count], optional: ["next": .count]),
    "QueueReport": .object([
      "queue": .count, "worker": .map(.count), "drops": .map(.count), "dropBytes": .map(.count),
      "statistics": counters, "rates": counters, "sideTraffic": .map(.count),
      "ipv4Connections": .count, "ipv6Connections": .count, "ipv4Entries": .count,
      "ipv6Entries": .count, "unrecorded": .count,
      "socket": .named("SocketReport"),
      "interfaces": .list(
        .object([
          "name": .string, "worker": .map(.count), "socket": .named("SocketReport"),
        ])),
      "evictions": .list(.object(["belowSeconds": .count, "connections": .count])),
    ]),
    "SocketReport": .object([
      "rxDropped": .count, "rxInvalidDescriptors": .count, "txInvalidDescriptors": .count,
      "rxRingFull": .count, "fillRingEmpty": .count, "txRingEmpty": .count,
    ]),
    "ProgramReport": .object([
      "services": .count, "fragments": .count, "icmpErrors": .count, "withoutSocket": .count,
      "otherHost": .count, "malformed": .count,
    ]),
  ]
}
