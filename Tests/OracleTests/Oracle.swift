// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

/// Everything here asks two directors the same, one test after the other.
@Suite(
  .serialized,
  .requires(
    .root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool", "nsenter", "sysctl"),
    .kernelDirector), OneKernelDirector())
struct Oracle {
  /// The whole is for the program as it is shipped, and some suites are for it alone: half of the
  /// time goes into commands, and what a debug build would trap on, DataPlaneTests asks for with
  /// more frames.
  #if DEBUG
    static let isShort = true
  #else
    static let isShort = false
  #endif
}

/// Boots user-mode Linux once for all tests of a suite.
struct OneKernelDirector: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    let kernel = try KernelDirector()
    defer { print("compared with kernel IPVS: \(kernel.comparisons)") }
    try await KernelDirector.$shared.withValue(kernel, operation: function)
  }
}
