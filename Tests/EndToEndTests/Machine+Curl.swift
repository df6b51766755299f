// SPDX-License-Identifier: Apache-2.0
import TestSupport

/// What became of one request, by curl's exit code (curl(1), EXIT CODES).
enum Reply: Equatable {
  /// The body, without its line end.
  case body(String)
  /// 7: the server's kernel said RST.
  case refused
  /// 28: nothing came.
  case timedOut
  case other(Int32, String)
}

extension Machine {
  /// One HTTP request over a connection of its own.
  ///
  /// - Parameter header: a line more of the request's.
  func curl(_ url: String, seconds: Double = 5, header: String? = nil) throws -> Reply {
    let (ending, output) = try finish(
      ["curl", "-sg", "--max-time", "\(seconds)"] + (header.map { ["-H", $0] } ?? []) + [url],
      seconds: seconds + 10)
    switch ending {
    case .exit(0): return .body(output.hasSuffix("\n") ? String(output.dropLast()) : output)
    case .exit(7): return .refused
    case .exit(28): return .timedOut
    case .exit(let code): return .other(code, output)
    case .signal(let signal): return .other(-signal, output)
    }
  }
}
