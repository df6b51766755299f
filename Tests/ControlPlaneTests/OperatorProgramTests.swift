// SPDX-License-Identifier: Apache-2.0
import Glibc
import TestSupport
import Testing

@testable import ControlPlane

/// Programs of the operator's, as checks and notify scripts run them.
@Suite struct OperatorProgramTests {
  private func program(_ script: String) throws -> RunningProgram {
    try OperatorProgram("/bin/sh -c", further: [script]).start()
  }

  @Test func endingsAreTold() throws {
    for (script, ending) in [
      ("exit 0", RunningProgram.Ending.exit(0)), ("exit 3", .exit(3)), ("kill -9 $$", .signal(9)),
    ] {
      let program = try program(script)
      #expect(program.ending(within: .seconds(60)) == ending)
      // As often as one asks, until it is buried.
      #expect(program.ending == ending)
      #expect(program.bury())
      #expect(kill(program.process, 0) == -1 && fcntl(program.descriptor, F_GETFD) == -1)
    }
  }

  @Test func whatRunsIsNotBuriedButKilledWithAllItStarted() throws {
    let program = try program("sleep 1000 & wait")
    #expect(program.ending(within: .milliseconds(50)) == nil && !program.bury())
    program.killGroup()
    #expect(program.ending(within: .seconds(60)) == .signal(SIGKILL))
    #expect(program.bury())
  }

  @Test func whatIsNotThereIsNamed() {
    #expect(throws: OperatorProgramFailure.self) {
      try OperatorProgram("/no/such/program").start()
    }
    #expect("\(OperatorProgramFailure(code: ENOENT))" == "no such file or directory")
  }
}
