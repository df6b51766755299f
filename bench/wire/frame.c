/* SPDX-License-Identifier: Apache-2.0 */
#include "station.h"

#include <string.h>

static void put16(__u8 *at, unsigned value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

static void put_words(__u8 *at, __u64 high, __u64 low)
{
	high = __builtin_bswap64(high);
	low = __builtin_bswap64(low);
	memcpy(at, &high, 8);
	memcpy(at + 8, &low, 8);
}

static void put_udp(__u8 *udp, unsigned bytes)
{
	put16(udp + 2, LAB_PORT);
	put16(udp + 4, bytes);
}

/* RFC 9293: five words of header, SYN. Nobody on this wire looks at its checksum. */
static void put_syn(__u8 *tcp)
{
	put16(tcp + 2, LAB_FLOOD_PORT);
	tcp[12] = 5 << 4;
	tcp[13] = 2;
	put16(tcp + 14, 0xffff);
}

void write_template(__u8 *frame, const struct command *command)
{
	__u32 vip = __builtin_bswap32(command->plan.syn ? command->plan.vip4 : LAB_VIP4);
	__u8 *ip = frame + ETH_HLEN;

	memset(frame, 0, command->size);
	if (command->plan.family == 6) {
		put16(frame + 12, ETH_P_IPV6);
		ip[0] = 0x60;
		put16(ip + 4, command->size - LAB_UDP6);
		ip[6] = 17;
		ip[7] = 64;
		put_words(ip + 8, LAB_CLIENT6_HIGH, 0);
		put_words(ip + 24, LAB_VIP6_HIGH, LAB_VIP6_LOW);
		put_udp(frame + LAB_UDP6, command->size - LAB_UDP6);
	} else {
		put16(frame + 12, ETH_P_IP);
		ip[0] = 0x45;
		put16(ip + 2, command->size - ETH_HLEN);
		ip[8] = 64;
		ip[9] = command->plan.syn ? 6 : 17;
		memcpy(ip + 16, &vip, 4);
		if (command->plan.syn)
			put_syn(frame + LAB_UDP4);
		else
			put_udp(frame + LAB_UDP4, command->size - LAB_UDP4);
	}
}

unsigned long long bucket_ns(unsigned bucket)
{
	unsigned exponent = bucket / 64;

	return exponent ? (64ull + bucket % 64) << (exponent - 1) : bucket;
}
