// SPDX-License-Identifier: Apache-2.0
import DataPlane

extension ServiceConfiguration {
  /// Throws what would be wrong with it in any director.
  public func validate() throws(DirectorError) {
    if let mark = key.mark {
      guard mark.rawValue != 0 else { throw .markZero }
      return try validatePersistence()
    }
    guard key.ipProtocol.hasServices else { throw .unsupportedProtocol(key) }
    guard key.port != Port(0) || persistence != nil else { throw .portZero(key) }
    guard key.address.isUnicast else { throw .notUnicast(key.address) }
    try validatePersistence()
    try validateOnePacket()
  }

  func validateOnePacket() throws(DirectorError) {
    guard !isOnePacket || key.mark != nil || key.ipProtocol == .udp else {
      throw .onePacketTCP(key)
    }
  }

  private func validatePersistence() throws(DirectorError) {
    guard let persistence else { return }
    let seconds = persistence.timeoutSeconds
    guard (1...Persistence.largestTimeoutSeconds).contains(seconds) else {
      throw .persistenceOutOfRange(seconds)
    }
    guard let mask = persistence.mask else { return }
    if case .v6(let mask) = mask, mask.prefixLength ?? 0 == 0 { throw .notAMask(mask) }
    guard mask.isSameVersion(as: key.address) else { throw .maskFamilyMismatch(mask, key) }
  }
}

extension RealServerConfiguration {
  /// Throws what would be wrong with it in the service of any director.
  public func validate(for key: VirtualServiceKey) throws(DirectorError) {
    guard port == key.port || key.mark != nil else { throw .portMismatch(port, key) }
    try validateRanges()
    guard address.isUnicast else { throw .notUnicast(address) }
    guard address.isSameVersion(as: key.address) else { throw .addressFamilyMismatch(address, key) }
  }

  func validateRanges() throws(DirectorError) {
    guard weight <= Self.largestWeight else { throw .weightOutOfRange(weight) }
    guard lowerThreshold <= upperThreshold else {
      throw .thresholdsCross(lower: lowerThreshold, upper: upperThreshold)
    }
  }
}
