// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own, so that what benchmarks need never reaches Martinet's users.
let package = Package(
  name: "martinet-bench",
  dependencies: [
    .package(name: "martinet", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
  ],
  targets: [
    // The packet loop once more in C: same algorithm, same layouts, as clang compiles it.
    .target(name: "CTwin", path: "peers/CTwin", cSettings: [.unsafeFlags(["-O3"])]),
    // The packet loop in process: beside the twin (room loop), and at size (room scale).
    .executableTarget(
      name: "loop",
      dependencies: [
        "CTwin", .product(name: "DataPlane", package: "martinet"),
        .product(name: "ControlPlane", package: "martinet"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: ".", sources: ["loop", "scale"]),
  ],
  swiftLanguageModes: [.v6]
)
