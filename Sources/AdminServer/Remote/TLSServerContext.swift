// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What the server's TLS connections share: its certificate and key, of TLS 1.2 or later.
final class TLSServerContext: @unchecked Sendable {
  /// OpenSSL counts references with atomics and locks what it changes (openssl-threads(7)).
  let pointer: OpaquePointer

  /// Reads two files in PEM; a key that needs a passphrase is refused.
  init(certificate: String, key: String) throws(APICredentialsError) {
    guard let pointer = SSL_CTX_new(TLS_server_method()) else { throw .noMemory }
    self.pointer = pointer
    _ = openssl_set_oldest_version(pointer)
    SSL_CTX_set_options(pointer, openssl_server_options)
    SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in 0 }
    ERR_clear_error()
    guard SSL_CTX_use_certificate_chain_file(pointer, certificate) == 1 else {
      throw .certificate(path: certificate, Self.reason)
    }
    guard SSL_CTX_use_PrivateKey_file(pointer, key, SSL_FILETYPE_PEM) == 1 else {
      throw .key(path: key, Self.reason)
    }
  }

  deinit { SSL_CTX_free(pointer) }

  private static var reason: String {
    let words = ERR_reason_error_string(ERR_peek_last_error())
    return words.map { String(cString: $0) } ?? "unknown"
  }
}
