// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// `POST /v1/services`.
public struct ServiceRequest: Hashable, Sendable, Codable {
  public var service: VirtualServiceKey
  public var scheduler: Scheduler
  /// None where they are left out.
  public var flags: SchedulerFlags?
  public var persistence: Persistence?
  /// `-o`; not where it is left out.
  public var isOnePacket: Bool?
  /// What is left out has its default.
  public var policy: ServicePolicyChange?
}

/// `PATCH /v1/services/{protocol}/{address}/{port}`.
public struct ServiceChange: Hashable, Sendable, Codable {
  public var scheduler: Scheduler
  /// None where they are left out.
  public var flags: SchedulerFlags?
  public var persistence: Persistence?
  /// `-o`; not where it is left out.
  public var isOnePacket: Bool?
  /// What is left out stays.
  public var policy: ServicePolicyChange?
}

/// `POST /v1/services/{protocol}/{address}/{port}/real-servers`.
public struct RealServerRequest: Hashable, Sendable, Codable {
  public var realServer: RealServerAddress
  public var weight: UInt32
  /// No limit where they are left out.
  public var thresholds: ConnectionThresholds?
}

/// `PATCH /v1/services/{protocol}/{address}/{port}/real-servers/{address}/{port}`.
public struct RealServerChange: Hashable, Sendable, Codable {
  public var weight: UInt32
  /// No limit where they are left out.
  public var thresholds: ConnectionThresholds?
}
