/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MARTINET_CXDP_H
#define MARTINET_CXDP_H

#include <linux/if_xdp.h>
#include <xdp/xsk.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#endif
