// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// A part of what a director is configured to do.
public enum ConfiguredPart: Hashable, Sendable {
  /// Services, timeouts and what marks stand for.
  case everything
  case services
  case service(VirtualServiceKey)
  case realServer(IPAddress, VirtualServiceKey)
  case timeouts
  case marks
  case drains
}

/// The numbers of the latest edits, all of one count, so that none is ever given twice. Services
/// and real servers have their own.
struct Edits {
  /// Tells this process' numbers from those of the one before it.
  fileprivate let process = UInt64.random(in: .min ... .max)
  fileprivate var last: UInt64 = 0
  fileprivate var services: UInt64 = 0
  fileprivate var timeouts: UInt64 = 0
  fileprivate var marks: UInt64 = 0
  fileprivate var drains: UInt64 = 0
}

extension Director {
  /// A number that is another after each edit of the part, also where that takes another edit back;
  /// in another process it is another. Figures, health and neighbours do not count. nil for a
  /// service or a real server that is not there.
  public func revision(of part: ConfiguredPart) -> Int? {
    let edit: UInt64? =
      switch part {
      case .everything: max(edits.services, edits.timeouts, edits.marks)
      case .services: edits.services
      case .service(let key): services[key]?.edit
      case .realServer(let address, let key): services[key]?.realServers[address]?.edit
      case .timeouts: edits.timeouts
      case .marks: edits.marks
      case .drains: edits.drains
      }
    guard let edit else { return nil }
    var hasher = Hasher()
    hasher.combine(edits.process)
    hasher.combine(part)
    hasher.combine(edit)
    return hasher.finalize()
  }

  /// Notes that a part is another than before; the workers have to be told.
  func noteEdit(of part: ConfiguredPart) {
    changes += 1
    edits.last += 1
    switch part {
    case .timeouts: edits.timeouts = edits.last
    case .marks: edits.marks = edits.last
    case .drains: edits.drains = edits.last
    case .everything, .services: edits.services = edits.last
    case .service(let key):
      edits.services = edits.last
      services[key]?.edit = edits.last
    case .realServer(let address, let key):
      edits.services = edits.last
      services[key]?.edit = edits.last
      services[key]?.realServers[address]?.edit = edits.last
    }
  }
}
