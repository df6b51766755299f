// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let package = Package(
  name: "martinet",
  products: [
    .executable(name: "martinet", targets: ["martinet"]),
    .library(name: "DataPlane", targets: ["DataPlane"]),
    .library(name: "ControlPlane", targets: ["ControlPlane"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // Structs and constants that bpf/*.c and Swift both read; header only.
    .target(name: "CDirectorABI"),
    // The prefetch instruction and memfd: what Swift has no word for.
    .target(name: "CMachine"),
    // libxdp, libbpf, if_xdp.h, sched.h: only what Swift cannot import by itself.
    .target(
      name: "CXDP", dependencies: ["CDirectorABI"],
      linkerSettings: [.linkedLibrary("xdp"), .linkedLibrary("bpf"), .linkedLibrary("elf")]),
    // All that a packet meets: wire formats, the decision, rings, sockets, the pinned thread.
    .target(
      name: "DataPlane", dependencies: ["CXDP", "CMachine", "CDirectorABI"],
      plugins: ["EmbedDirectorProgram"]),
    // Compiles bpf/director.bpf.c into DataPlane.
    .plugin(name: "EmbedDirectorProgram", capability: .buildTool()),
    // libnl-route: the kernel's neighbours, links, addresses and routes.
    .systemLibrary(
      name: "CNetlink", pkgConfig: "libnl-route-3.0",
      providers: [.apt(["libnl-3-dev", "libnl-route-3-dev"])]),
    // OpenSSL, for checks and the API over HTTPS.
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    // epoll and its like: what health checks need and Glibc's module leaves out.
    .target(name: "CProbe"),
    // Desired state, configuration file, health checks, neighbours and links, snapshots.
    .target(
      name: "ControlPlane",
      dependencies: [
        "DataPlane", "CNetlink", "COpenSSL", "CProbe",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ]),
    // Request and response types; ipvsadm's grammar and text; shared by server and client.
    .target(name: "AdminAPI", dependencies: ["DataPlane"]),
    // HTTP and JSON over a Unix socket, and over TCP where asked for.
    .target(
      name: "AdminServer",
      dependencies: [
        "AdminAPI", "ControlPlane", "COpenSSL",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOFoundationCompat", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ],
      exclude: [
        "README.md", "Metrics/alerts.yaml", "Metrics/alerts.test.yaml", "Metrics/dashboard.json",
      ]),
    // The executable: subcommands and wiring, nothing else.
    .executableTarget(
      name: "martinet",
      dependencies: [
        "AdminServer", "AdminAPI", "ControlPlane",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
      ],
      exclude: ["martinet.service"]),

    // Packet builder, simulated kernel, namespaces, requirements, seeds.
    .target(
      name: "TestSupport", dependencies: ["DataPlane", "ControlPlane", "AdminAPI", "CTestSupport"],
      path: "Tests/TestSupport", exclude: ["Sandbox/confine.py", "Sandbox/sandbox.py"]),
    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .testTarget(
      name: "DataPlaneTests", dependencies: ["DataPlane", "TestSupport", "CXDP", "CDirectorABI"],
      exclude: ["Fixtures"]),
    // The real binary between real hosts, in network namespaces; needs root.
    .testTarget(
      name: "EndToEndTests", dependencies: ["martinet", "AdminAPI", "DataPlane", "TestSupport"]),
    // Frame by frame against the kernel's IPVS in user-mode Linux; needs root.
    .testTarget(
      name: "OracleTests", dependencies: ["martinet", "ControlPlane", "DataPlane", "TestSupport"]),
    // The habits of design and style that can be read off the sources.
    .testTarget(name: "TidyTests"),
    .testTarget(name: "ControlPlaneTests", dependencies: ["ControlPlane", "TestSupport"]),
    .testTarget(
      name: "AdminTests", dependencies: ["AdminAPI", "AdminServer", "ControlPlane", "TestSupport"],
      exclude: ["Fixtures"]),
  ],
  swiftLanguageModes: [.v6]
)
