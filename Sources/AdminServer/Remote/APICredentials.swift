// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import ControlPlane
import Glibc
import NIOHTTP1
import Synchronization

/// The bearer token and the certificate of the API on TCP, read from their files at the start and
/// at every reload.
public final class APICredentials: Sendable {
  private struct Contents: Sendable {
    var token: Digest
    var tls: TLSServerContext?
  }

  private let endpoint: APIEndpoint
  private let contents: Mutex<Contents>

  /// Throws what is wrong with the files.
  public init(_ endpoint: APIEndpoint) throws(APICredentialsError) {
    self.endpoint = endpoint
    contents = Mutex(try Self.contents(of: endpoint))
  }

  /// Reads the files anew, or throws what is wrong with them.
  ///
  /// - Returns: what makes connections to come go by them.
  public func renew() throws(APICredentialsError) -> @Sendable () -> Void {
    let new = try Self.contents(of: endpoint)
    return { self.contents.withLock { $0 = new } }
  }

  /// nil where the API is without TLS.
  var tls: TLSServerContext? { contents.withLock { $0.tls } }

  /// Why a request with this header is refused; nil for one with the token.
  func refusal(of head: HTTPRequestHead) -> Response? {
    let scheme = "bearer "
    let given = head.headers["Authorization"]
    guard given.count == 1, given[0].lowercased().hasPrefix(scheme) else {
      return Response(
        .unauthorized, "the API asks for its token", mend: "send `Authorization: Bearer TOKEN`",
        ["WWW-Authenticate": #"Bearer realm="martinet""#])
    }
    let token = Digest(Array(given[0].dropFirst(scheme.utf8.count).utf8))
    guard !contents.withLock({ $0.token.isSame(as: token) }) else { return nil }
    return Response(
      .unauthorized, "this is not the API's token", mend: "send what stands in its `token-file`",
      ["WWW-Authenticate": #"Bearer realm="martinet", error="invalid_token""#])
  }

  private static func contents(of endpoint: APIEndpoint) throws(APICredentialsError) -> Contents {
    var contents = Contents(token: Digest(try token(endpoint.tokenFile)))
    if let certificate = endpoint.certificate, let key = endpoint.key {
      close(try opened(key))
      contents.tls = try TLSServerContext(certificate: certificate, key: key)
    }
    return contents
  }

  /// RFC 6750 §2.1 gives the alphabet.
  private static func token(_ path: String) throws(APICredentialsError) -> [UInt8] {
    let lengths = 16...4096
    let descriptor = try opened(path)
    defer { close(descriptor) }
    var octets = [UInt8](repeating: 0, count: lengths.upperBound + 2)
    let count = read(descriptor, &octets, octets.count)
    var token = octets.prefix(max(0, count))
    while token.last == UInt8(ascii: "\n") || token.last == UInt8(ascii: "\r") {
      token.removeLast()
    }
    let isWord = token.allSatisfy { octet in
      switch octet {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "-._~+/=".utf8.contains(octet)
      }
    }
    guard isWord, lengths.contains(token.count) else { throw .token(path: path) }
    return Array(token)
  }

  /// A secret's file, which others cannot read and its group cannot write.
  private static func opened(_ path: String) throws(APICredentialsError) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable(path: path, errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_mode & 0o027 == 0
    else {
      close(descriptor)
      throw .open(path: path)
    }
    return descriptor
  }
}

/// The SHA-256 of a token: of one length, so that a comparison takes one time.
private struct Digest: Sendable {
  private let octets: [UInt8]

  init(_ token: [UInt8]) {
    var octets = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    SHA256(token, token.count, &octets)
    self.octets = octets
  }

  func isSame(as other: Digest) -> Bool {
    CRYPTO_memcmp(octets, other.octets, octets.count) == 0
  }
}

/// Why the API's files are refused. No sentence has a secret in it.
public enum APICredentialsError: Error, Hashable, Sendable, CustomStringConvertible {
  case unreadable(path: String, _ code: Int32)
  case open(path: String)
  case token(path: String)
  case certificate(path: String, _ reason: String)
  case key(path: String, _ reason: String)
  case noMemory

  public var description: String {
    switch self {
    case .unreadable(let path, let code):
      "\(path): \(String(cString: strerror(code))): let the director's user read it"
    case .open(let path):
      "\(path) is a secret that others may read or its group may write: chmod 640 a plain file"
    case .token(let path):
      "\(path) has no token of 16 to 4096 letters and digits: `openssl rand -hex 32` makes one"
    case .certificate(let path, let reason):
      "\(path) has no certificate that can be used (\(reason)): give PEM, the server's first"
    case .key(let path, let reason):
      "\(path) has not the certificate's key, or needs a passphrase (\(reason)): give PEM without"
    case .noMemory: "TLS has no memory: free some"
    }
  }
}
