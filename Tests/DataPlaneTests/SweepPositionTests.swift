// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DataPlane

/// When the next lines of a sweep are due: a worker asks at once then, and never before, however
/// few lines there are and wherever the clock stands.
@Suite struct SweepPositionTests {
  @Test(arguments: [4, 6, 1000, 1027, 2001, 3999, 4000, 4001, 6000, 7999, 8001, 400_000])
  func isDueWhenItSays(lines: Int) {
    var position = SweepPosition(from: Tick(rawValue: .max - 3000))
    let start = position.next
    #expect(position.due(of: lines, at: start) == 0, "no time has passed")
    var seen = 0
    while position.next.milliseconds(since: start) <= 12_000 {
      let now = position.next
      var early = position
      #expect(early.due(of: lines, at: now.advanced(byMilliseconds: .max)) == 0, "a tick early")
      let due = position.due(of: lines, at: now)
      #expect(due > 0 && position.next.milliseconds(since: now) > 0)
      seen += due
    }
    #expect(seen == 3 * lines, "three rounds in 12 s")
  }
}
