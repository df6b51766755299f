// SPDX-License-Identifier: Apache-2.0
import TestSupport
import Testing

/// Everything here asks two directors the same, one test after the other.
@Suite(
  .serialized,
  .requires(
    .root, .networkNamespaces, .xdpSockets, .commands("ip", "ethtool", "nsenter", "sysctl"),
    .kernelDirector))
struct Oracle {}
