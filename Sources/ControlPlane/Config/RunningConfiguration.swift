// SPDX-License-Identifier: Apache-2.0
import DataPlane
import Logging

/// The configuration file of a running director: loaded anew, taken back, and written.
///
/// What the file says is compared with what the director does, never with guesses: a change at run
/// time that is not in the file is only undone when that is asked for.
public actor RunningConfiguration {
  private let file: ConfigurationFile
  private let director: Director
  private let logger: Logger
  /// What the file said when it was read or written last.
  private var loaded: SiteConfiguration
  private var trial: Trial?
  /// Reads what the file names, and returns what puts that in effect.
  private let renew: @Sendable () throws -> @Sendable () -> Void

  /// A reload that goes unless it is confirmed.
  private struct Trial {
    var before: SiteConfiguration
    var loadedBefore: SiteConfiguration
    var expiry: Task<Void, Never>
  }

  /// - Parameters:
  ///   - loaded: what `file` said when `director` was started with it.
  ///   - renew: reads anew at a reload what else the director uses, or throws why it cannot; what
  ///     it returns is called once all the rest is in effect.
  public init(
    file: ConfigurationFile, loaded: SiteConfiguration, director: Director, logger: Logger,
    renew: @escaping @Sendable () throws -> @Sendable () -> Void = { {} }
  ) {
    self.file = file
    self.loaded = loaded
    self.director = director
    self.logger = logger
    self.renew = renew
  }

  /// What `reload` would do now.
  public func plan() async throws(ReloadError) -> ReloadPlan {
    try await plan(for: read())
  }

  /// Makes the director do what the file says, all or nothing; connections of what is the same go
  /// on untouched.
  ///
  /// - Parameters:
  ///   - force: whether changes made at run time may be undone.
  ///   - trialSeconds: after so long all is as it was, unless `confirm` comes; nil for good.
  /// - Returns: what was changed.
  public func reload(
    force: Bool, trialSeconds: UInt32? = nil
  ) async throws(ReloadError) -> ReloadPlan {
    guard trial == nil else { throw .awaitsConfirmation }
    let site = try read()
    let plan = try await plan(for: site)
    guard force || plan.undone.isEmpty else { throw .wouldUndo(plan.undone) }
    guard plan.needsRestart.isEmpty else { throw .needsRestart(plan.needsRestart) }
    let renewed = try renewal()
    let before = await present()
    try await apply(site)
    renewed()
    if let trialSeconds {
      trial = Trial(
        before: before, loadedBefore: loaded, expiry: expiry(after: trialSeconds))
    }
    loaded = site
    logger.notice(
      "configuration reloaded",
      metadata: ["file": "\(file.path)", "changes": "\(plan.changes.count)"])
    return plan
  }

  /// Keeps what was reloaded on trial.
  public func confirm() throws(ReloadError) {
    guard let trial else { throw .nothingToConfirm }
    trial.expiry.cancel()
    self.trial = nil
    logger.notice("configuration confirmed", metadata: ["file": "\(file.path)"])
  }

  /// Writes what the director does now to the file.
  ///
  /// - Returns: what the file did not say before.
  public func save() async throws(ReloadError) -> [SiteChange] {
    guard trial == nil else { throw .awaitsConfirmation }
    let site = await present()
    let changes = site.changes(from: loaded)
    guard try read() == loaded else { throw .editedMeanwhile(file.path) }
    do throws(ConfigurationFileError) {
      if !changes.isEmpty { try file.write(site) }
    } catch {
      throw .file(error)
    }
    loaded = site
    logger.notice(
      "configuration saved",
      metadata: ["file": "\(file.path)", "previous": "\(file.previousPath)"])
    return changes
  }

  private func renewal() throws(ReloadError) -> @Sendable () -> Void {
    do {
      return try renew()
    } catch {
      throw .credentials("\(error)")
    }
  }

  private func read() throws(ReloadError) -> SiteConfiguration {
    do throws(ConfigurationFileError) {
      return try file.read()
    } catch {
      throw .file(error)
    }
  }

  private func plan(for site: SiteConfiguration) async throws(ReloadError) -> ReloadPlan {
    let present = await present()
    let all = site.changes(from: present)
    let runtime = Set(present.changes(from: loaded).map(\.object))
    let connections = await director.connections(of: all)
    return ReloadPlan(
      changes: all.filter { $0.object != .director },
      undone: all.filter { runtime.contains($0.object) },
      needsRestart: all.filter { $0.object == .director }.flatMap(\.details),
      endingConnections: connections)
  }

  /// What the director does, as a file would say it.
  public func present() async -> SiteConfiguration {
    var site = loaded
    (site.tables, site.timeouts) = await director.site()
    site.marks = await director.marks.sorted { $0.key < $1.key }.map {
      SiteConfiguration.MarkTable(mark: $0.key, match: $0.value)
    }
    return site
  }

  private func apply(_ site: SiteConfiguration) async throws(ReloadError) {
    do throws(DirectorRefusals) {
      try await director.apply(site)
    } catch {
      throw .refused(error)
    }
    do throws(DirectorError) {
      try await director.settle()
    } catch {
      throw .refused(DirectorRefusals(errors: [error]))
    }
  }

  private func expiry(after seconds: UInt32) -> Task<Void, Never> {
    Task {
      guard (try? await Task.sleep(for: .seconds(Int(seconds)))) != nil else { return }
      await self.rollBack()
    }
  }

  private func rollBack() async {
    guard let trial else { return }
    self.trial = nil
    loaded = trial.loadedBefore
    do {
      try await apply(trial.before)
      logger.warning("configuration was not confirmed in time: all is as before")
    } catch {
      logger.error("configuration was not confirmed in time and cannot be taken back: \(error)")
    }
  }
}

/// What a reload does or would do.
public struct ReloadPlan: Hashable, Sendable {
  public var changes: [SiteChange]
  /// Those of them that take back what was changed at run time.
  public var undone: [SiteChange]
  /// Fields of the file that a running director cannot take.
  public var needsRestart: [String]
  /// Live connections of real servers that go, which end or move by their service's rules.
  public var endingConnections: UInt64
}

/// Why the configuration stays as it is.
public enum ReloadError: Hashable, Sendable, ExplainedError {
  case file(ConfigurationFileError)
  case refused(DirectorRefusals)
  case credentials(String)
  case wouldUndo([SiteChange])
  case needsRestart([String])
  case awaitsConfirmation
  case nothingToConfirm
  case editedMeanwhile(String)

  /// A line per cause, each with its mend, where there may be several.
  public var explanation: (cause: String, mend: String?) {
    switch self {
    case .file(let error): (error.description, nil)
    case .refused(let refusals): (refusals.description, nil)
    case .credentials(let sentence): (sentence, nil)
    case .wouldUndo(let changes):
      (
        "this would undo what was changed at run time and is not in the file: "
          + changes.map { "\($0.object)" }.joined(separator: "; "),
        "save it first, or force the reload"
      )
    case .needsRestart(let fields):
      (
        "a running director cannot take these: \(fields.joined(separator: "; "))",
        "restart it, or put them back in the file"
      )
    case .awaitsConfirmation:
      ("the last reload is on trial", "confirm it, or wait until it has been taken back")
    case .nothingToConfirm:
      ("nothing is on trial: the last reload was for good, confirmed, or taken back already", nil)
    case .editedMeanwhile(let path):
      ("\(path) was edited since it was loaded", "reload it first, or put it back")
    }
  }
}
