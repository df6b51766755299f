// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ArgumentParser
import ControlPlane
import Foundation

/// Ends a command with one sentence on stderr and a code of sysexits.h.
struct Refusal {
  let sentence: String
  let exitCode: ExitCode

  /// EX_DATAERR: a file's contents are wrong.
  static let wrongContents = ExitCode(65)

  static func data(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: wrongContents)
  }

  /// EX_NOINPUT: a file cannot be read.
  static func noInput(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: ExitCode(66))
  }

  /// EX_UNAVAILABLE: a facility that the command needs is not there or not free.
  static func unavailable(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: ExitCode(69))
  }

  /// EX_OSERR: the system refused.
  static func system(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: ExitCode(71))
  }

  /// EX_CANTCREAT: a file that the command makes cannot be made.
  static func cannotCreate(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: ExitCode(73))
  }

  /// EX_NOPERM.
  static func permission(_ sentence: String) -> Refusal {
    Refusal(sentence: sentence, exitCode: ExitCode(77))
  }

  /// What the command throws after it has said why, each line by itself.
  func said() -> ExitCode {
    for line in sentence.split(separator: "\n") {
      FileHandle.standardError.write(Data("martinet: \(line)\n".utf8))
    }
    return exitCode
  }
}

extension Refusal {
  init(_ error: ConfigurationFileError) {
    self =
      switch error {
      case .unreadable(let sentence): .noInput(sentence)
      case .unwritable(let sentence): .cannotCreate(sentence)
      case .wrong: .data(error.description)
      }
  }

  init(_ error: ControlError) {
    self =
      switch error {
      case .noDaemon, .timedOut, .unintelligible: .unavailable(error.description)
      case .permissionDenied: .permission(error.description)
      case .system: .system(error.description)
      case .refused: .data(error.description)
      }
  }
}
