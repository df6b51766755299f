// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Hostile inputs: the files of a corpus, and what seeds make of them.
///
/// With `MARTINET_FUZZ_SECONDS` in the environment `mutations` goes on for so long, from seeds of
/// its own. The input under trial then lies in `martinet-fuzz-NAME` of the temporary folder: after
/// a crash it is there to become a file of the corpus.
public struct Fuzz {
  public let corpus: [(name: String, octets: [UInt8])]
  private let name: String

  /// - Parameter name: of the folder in `Fixtures/fuzz` beside the calling test's file.
  public init(_ name: String, testFile: String = #filePath) throws {
    let folder = URL(filePath: testFile).deletingLastPathComponent()
      .appending(path: "Fixtures/fuzz/\(name)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    guard !names.isEmpty else { throw Failure("no corpus in \(folder.path)") }
    self.name = name
    corpus = try names.map { ($0, Array(try Data(contentsOf: folder.appending(path: $0)))) }
  }

  /// Gives `trial` so many inputs of up to `limit` octets from each seed, with the words to find
  /// one again.
  public func mutations(
    seeds: [UInt64], inputs: Int, limit: Int = 4096, _ trial: ([UInt8], String) throws -> Void
  ) throws {
    for number in seeds {
      var seed = Seed(number)
      for input in 0..<inputs {
        try trial(mutated(limit, &seed), "seed \(number), input \(input)")
      }
    }
    let words = ProcessInfo.processInfo.environment["MARTINET_FUZZ_SECONDS"]
    guard let seconds = words.flatMap(Double.init) else { return }
    let deadline = monotonicSeconds() + seconds
    let journal = try Journal(NSTemporaryDirectory() + "martinet-fuzz-\(name)")
    while monotonicSeconds() < deadline {
      let number = UInt64.random(in: 1000 ... .max)
      var seed = Seed(number)
      for input in 0..<inputs {
        let octets = mutated(limit, &seed)
        journal.keep(octets)
        try trial(octets, "seed \(number), input \(input)")
      }
    }
  }

  private func mutated(_ limit: Int, _ seed: inout Seed) -> [UInt8] {
    var octets = corpus.randomElement(using: &seed)!.octets
    for _ in 0...Int.random(in: 0...3, using: &seed) { change(&octets, &seed) }
    return Array(octets.prefix(limit))
  }

  /// Values at which lengths, counts and signs go wrong.
  private static let edges: [UInt8] = [0, 1, 4, 5, 8, 19, 20, 40, 0x7f, 0x80, 0xfe, 0xff]

  private func change(_ octets: inout [UInt8], _ seed: inout Seed) {
    let place = Int.random(in: 0...octets.count, using: &seed)
    let run = place..<min(octets.count, place + Int.random(in: 1...24, using: &seed))
    switch Int.random(in: 0..<8, using: &seed) {
    case 0..<2 where !run.isEmpty: octets[place] ^= 1 << UInt8.random(in: 0..<8, using: &seed)
    case 2 where !run.isEmpty: octets[place] = Self.edges.randomElement(using: &seed)!
    case 3 where !run.isEmpty: octets[place] = UInt8.random(in: 0...255, using: &seed)
    case 4: octets.removeSubrange(run)
    case 5: octets.insert(contentsOf: octets[run], at: Int.random(in: 0...place, using: &seed))
    case 6:
      let other = corpus.randomElement(using: &seed)!.octets
      octets = octets[..<place] + other.suffix(Int.random(in: 0...other.count, using: &seed))
    default: octets.removeSubrange(place...)
    }
  }
}

/// A file that holds the last input even when the process ends in the middle of it.
private final class Journal {
  private let descriptor: Int32

  init(_ path: String) throws {
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError(call: "open \(path)", errno: errno) }
  }

  deinit { close(descriptor) }

  func keep(_ octets: [UInt8]) {
    ftruncate(descriptor, off_t(octets.count))
    pwrite(descriptor, octets, octets.count, 0)
  }
}
