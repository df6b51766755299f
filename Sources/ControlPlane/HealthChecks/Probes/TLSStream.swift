// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import DataPlane
import Glibc

/// A connection with TLS on it, by OpenSSL.
final class TLSStream: ByteStream {
  private let socket: ProbeSocket
  private let tls: OpaquePointer

  /// nil where there is no memory for it.
  init?(
    _ socket: ProbeSocket, _ context: TLSContext, _ question: TLSQuestion, host: String?,
    address: IPAddress
  ) {
    guard let tls = SSL_new(context.pointer) else { return nil }
    self.socket = socket
    self.tls = tls
    SSL_set_fd(tls, socket.descriptor)
    // RFC 6066 §3: an address is no name.
    let name = question.serverName ?? host.flatMap { IPAddress($0) == nil ? $0 : nil }
    if let name { _ = openssl_set_server_name(tls, name) }
    guard question.isVerified else { return }
    SSL_set_verify(tls, SSL_VERIFY_PEER, nil)
    let parameters = SSL_get0_param(tls)
    if let name {
      SSL_set1_host(tls, name)
    } else {
      X509_VERIFY_PARAM_set1_ip_asc(parameters, "\(address)")
    }
  }

  deinit { SSL_free(tls) }

  func greet() -> Transfer {
    ERR_clear_error()
    let status = SSL_connect(tls)
    return status == 1 ? .done(0) : transfer(status)
  }

  func write(_ octets: UnsafeRawBufferPointer) -> Transfer {
    ERR_clear_error()
    let count = SSL_write(tls, octets.baseAddress, Int32(octets.count))
    return count > 0 ? .done(Int(count)) : transfer(count)
  }

  func read(into octets: UnsafeMutableRawBufferPointer) -> Transfer {
    ERR_clear_error()
    let count = SSL_read(tls, octets.baseAddress, Int32(octets.count))
    return count > 0 ? .done(Int(count)) : transfer(count)
  }

  private func transfer(_ status: Int32) -> Transfer {
    let code = errno
    switch SSL_get_error(tls, status) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .waiting
    case SSL_ERROR_ZERO_RETURN: return .closed
    case SSL_ERROR_SYSCALL where code != 0: return .failed(CheckResult(errno: code, "tls"))
    default:
      let verification = SSL_get_verify_result(tls)
      let words =
        verification == X509_V_OK
        ? ERR_reason_error_string(ERR_get_error()) : X509_verify_cert_error_string(verification)
      return .failed(.failure("tls: \(words.map { String(cString: $0) } ?? "closed")"))
    }
  }
}

/// What TLS connections share: the certificates that they verify by.
final class TLSContext {
  let pointer: OpaquePointer

  /// nil where the file has no certificates.
  init?(authorities: String?) {
    guard let pointer = SSL_CTX_new(TLS_client_method()) else { return nil }
    self.pointer = pointer
    let status =
      authorities.map { SSL_CTX_load_verify_locations(pointer, $0, nil) }
      ?? SSL_CTX_set_default_verify_paths(pointer)
    if status != 1 { return nil }
  }

  deinit { SSL_CTX_free(pointer) }
}

/// One context for all that verify by the same file, made anew when that changes.
final class TLSContexts {
  private struct Known {
    var context: TLSContext
    var modified: timespec
  }

  private var known: [String?: Known] = [:]

  /// nil where the file cannot be used.
  func context(authorities: String?) -> TLSContext? {
    var status = stat()
    if let authorities { stat(authorities, &status) }
    let modified = status.st_mtim
    if let known = known[authorities], known.modified.tv_sec == modified.tv_sec,
      known.modified.tv_nsec == modified.tv_nsec
    {
      return known.context
    }
    guard let context = TLSContext(authorities: authorities) else { return nil }
    known[authorities] = Known(context: context, modified: modified)
    return context
  }
}
