// SPDX-License-Identifier: Apache-2.0
import AdminAPI
import ControlPlane
import NIOHTTP1

/// `/v1/configuration/…`: the file that the director was started with.
extension Routes {
  /// At most a day: who has not confirmed by then is not watching.
  private static let longestTrialSeconds: UInt32 = 86_400

  func configuration(_ request: Request) async throws -> Response {
    let revision = await director.revision(of: .everything)
    let text = try await file().present().shown.yaml
    return Response(text, type: "application/yaml").tagged(revision)
  }

  func reload(_ request: Request) async throws -> Response {
    let configuration = try file()
    let body: ReloadRequest = try decode(request)
    if let seconds = body.confirmSeconds {
      guard (1...Self.longestTrialSeconds).contains(seconds) else {
        throw Problem(
          .badRequest, "confirmSeconds is out of range",
          mend: "give 1 to \(Self.longestTrialSeconds)")
      }
    }
    try await director.change(.everything, if: request.conditions) { _ in }
    return try await orProblem {
      let plan =
        body.isPlan == true
        ? try await configuration.plan()
        : try await configuration.reload(
          force: body.force ?? false, trialSeconds: body.confirmSeconds)
      return try Response(.ok, ReloadReport(plan))
    }
  }

  func confirm(_ request: Request) async throws -> Response {
    let configuration = try file()
    return try await orProblem {
      try await configuration.confirm()
      return .done
    }
  }

  func save(_ request: Request) async throws -> Response {
    let configuration = try file()
    try await director.change(.everything, if: request.conditions) { _ in }
    return try await orProblem {
      let changes = try await configuration.save()
      return try Response(.ok, SaveReport(changes: changes.map(ChangeReport.init)))
    }
  }

  private func file() throws -> RunningConfiguration {
    guard let runningConfiguration else {
      throw Problem(
        .conflict, "this director has no configuration file",
        mend: "start it with `--config FILE`")
    }
    return runningConfiguration
  }

  private func orProblem(_ answer: () async throws -> Response) async throws -> Response {
    do {
      return try await answer()
    } catch let error as ReloadError {
      throw Problem(error)
    }
  }
}

extension Problem {
  fileprivate init(_ error: ReloadError) {
    switch error {
    case .file, .refused, .credentials: self.init(.unprocessableEntity, error)
    case .wouldUndo, .needsRestart, .awaitsConfirmation, .nothingToConfirm, .editedMeanwhile:
      self.init(.conflict, error)
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
