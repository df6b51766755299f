// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

/// Everything here runs the real binary in network namespaces, one test after the other.
@Suite(
  .serialized,
  .requires(
    .root, .networkNamespaces, .xdpSockets,
    .commands("ip", "ethtool", "nsenter", "sysctl", "curl", "nginx", "socat")))
struct EndToEnd {}
