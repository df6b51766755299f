// SPDX-License-Identifier: Apache-2.0
import DataPlane

/// Where the API is to be had over TCP, and what its clients and its server show each other.
public struct APIEndpoint: Hashable, Sendable {
  public var listen: TCPEndpoint
  /// The certificate in PEM, with those between it and an authority's after it, and its key; nil
  /// for HTTP without TLS.
  public var certificate: String?
  public var key: String?
  /// The file of the bearer token (RFC 6750).
  public var tokenFile: String

  /// Of the configuration file, before its fields are read.
  static let blank = APIEndpoint(
    listen: TCPEndpoint(address: .v4(IPv4Address(rawValue: 0)), port: Port(0)), tokenFile: "")

  init(listen: TCPEndpoint, tokenFile: String) {
    self.listen = listen
    self.tokenFile = tokenFile
  }

  mutating func visit(_ form: inout ConfigurationForm) {
    form.required("listen", .endpoint, &listen)
    form.field("certificate", .path, &certificate)
    form.field("key", .path, &key)
    form.required("token-file", .path, &tokenFile)
    let endpoint = self
    form.check { () throws(APIEndpointError) in try endpoint.validate() }
  }

  private func validate() throws(APIEndpointError) {
    guard (certificate == nil) == (key == nil) else { throw .halfAPair(hasKey: key != nil) }
    guard certificate != nil || listen.address.isLoopback else { throw .unencrypted(listen) }
  }
}

/// What is wrong with an `api` section.
enum APIEndpointError: Hashable, ExplainedError {
  case halfAPair(hasKey: Bool)
  case unencrypted(TCPEndpoint)

  var explanation: (cause: String, mend: String?) {
    switch self {
    case .halfAPair(let hasKey):
      ("`\(hasKey ? "certificate" : "key")` is missing", "TLS needs both, or give neither")
    case .unencrypted(let endpoint):
      (
        "without TLS the token would cross the network readable",
        "add `certificate` and `key`, or listen on a loopback address as "
          + "127.0.0.1:\(endpoint.port.rawValue)"
      )
    }
  }
}
