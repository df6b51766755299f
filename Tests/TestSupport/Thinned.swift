// SPDX-License-Identifier: Apache-2.0

/// The cases that a test tries: all of them in a release build, every `step`th in a debug build,
/// which takes twenty times as long for each. A `step` that shares no divisor with the number of
/// choices tries every choice.
public func thinned<Cases: Sequence>(_ cases: Cases, to step: Int) -> [Cases.Element] {
  #if DEBUG
    cases.enumerated().filter { $0.offset.isMultiple(of: step) }.map(\.element)
  #else
    Array(cases)
  #endif
}
