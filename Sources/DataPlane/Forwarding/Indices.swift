// SPDX-License-Identifier: Apache-2.0

/// Number of a virtual service, 1…65535. 0 is no service, so that a connection key is never zero.
public struct ServiceIndex: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// Number of a real server *of one service* (LVS calls the pair a destination), 1…65535.
///
/// Connection entries and counters are kept by it. It is not given out again until every worker
/// has swept the connections that name it.
public struct RealServerIndex: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inline(__always) public init(rawValue: UInt16) { self.rawValue = rawValue }
}
