// SPDX-License-Identifier: Apache-2.0
import Foundation
import PackagePlugin

/// Compiles bpf/director.bpf.c with the Swift toolchain's clang and embeds the object, so that
/// there is no file to find at run time.
@main struct EmbedDirectorProgram: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let package = context.package.directoryURL
    let script = package.appending(path: "bpf/embed")
    let source = package.appending(path: "bpf/director.bpf.c")
    let headers = package.appending(path: "Sources/CDirectorABI/include")
    let output = context.pluginWorkDirectoryURL.appending(path: "DirectorObject.swift")
    let clang = try context.tool(named: "clang").url
    let objcopy = try context.tool(named: "llvm-objcopy").url
    return [
      .buildCommand(
        displayName: "Compile director.bpf.c",
        executable: URL(filePath: "/bin/sh"),
        arguments: [script, clang, objcopy, source, headers, output].map(\.path),
        inputFiles: [script, source, headers.appending(path: "director_abi.h")],
        outputFiles: [output])
    ]
  }
}
