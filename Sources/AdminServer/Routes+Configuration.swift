// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// `/v1/configuration/…`: the file that the director was started with.
extension Routes {
  /// At most a day: who has not confirmed by then is not watching.
  private static let longestTrialSeconds: UInt32 = 86_400

  /// `path` follows `configuration/`.
  func configuration(_ request: Request, _ path: ArraySlice<String>) async throws -> Response {
    guard ["reload", "confirm", "save"].contains(path.first), path.count == 1 else {
      throw notFound
    }
    guard request.method == .POST else { throw notAllowed }
    guard let configuration = runningConfiguration else {
      throw Problem(
        .conflict, "this director has no configuration file: start it with `--config FILE`")
    }
    do {
      switch path.first {
      case "reload": return try await reload(configuration, decode(request))
      case "confirm":
        try await configuration.confirm()
        return .done
      default:
        let changes = try await configuration.save()
        return try Response(.ok, SaveReport(changes: changes.map(ChangeReport.init)))
      }
    } catch let error as ReloadError {
      throw Problem(error)
    }
  }

  private func reload(
    _ configuration: RunningConfiguration, _ body: ReloadRequest
  ) async throws -> Response {
    if let seconds = body.confirmSeconds {
      guard (1...Self.longestTrialSeconds).contains(seconds) else {
        throw Problem(
          .badRequest, "confirmSeconds is out of range: give 1 to \(Self.longestTrialSeconds)")
      }
    }
    let plan =
      body.isPlan == true
      ? try await configuration.plan()
      : try await configuration.reload(
        force: body.force ?? false, trialSeconds: body.confirmSeconds)
    return try Response(.ok, ReloadReport(plan))
  }
}

extension Problem {
  fileprivate init(_ error: ReloadError) {
    switch error {
    case .file, .refused: self.init(.unprocessableEntity, error.description)
    case .wouldUndo, .needsRestart, .awaitsConfirmation, .nothingToConfirm, .editedMeanwhile:
      self.init(.conflict, error.description)
    }
  }
}

extension ReloadReport {
  fileprivate init(_ plan: ReloadPlan) {
    self.init(
      changes: plan.changes.map(ChangeReport.init), undone: plan.undone.map(ChangeReport.init),
      needsRestart: plan.needsRestart, endingConnections: plan.endingConnections)
  }
}

extension ChangeReport {
  fileprivate init(_ change: SiteChange) {
    self.init(
      object: "\(change.object)", action: change.action.rawValue, details: change.details)
  }
}
