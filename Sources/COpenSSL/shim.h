// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>

// Swift does not see macros with arguments.
static inline long openssl_set_server_name(SSL *tls, const char *name) {
	return SSL_set_tlsext_host_name(tls, name);
}

static const uint64_t openssl_server_options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION;

static inline long openssl_set_oldest_version(SSL_CTX *context) {
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

// Whether a handshake failed because the client began with "GET " and the like.
static inline int openssl_error_is_plain_http(unsigned long code) {
	return ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
}
