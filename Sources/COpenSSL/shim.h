// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>
#include <openssl/ssl.h>

// Swift does not see macros with arguments.
static inline long openssl_set_server_name(SSL *tls, const char *name) {
	return SSL_set_tlsext_host_name(tls, name);
}
