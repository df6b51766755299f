/* SPDX-License-Identifier: Apache-2.0 */
#include "cxdp.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int describe(int descriptor, struct ifreq *request, struct cxdp_interface *interface)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (ioctl(descriptor, SIOCGIFINDEX, request) != 0)
		return errno;
	interface->index = request->ifr_ifindex;
	if (ioctl(descriptor, SIOCGIFMTU, request) != 0)
		return errno;
	interface->mtu = request->ifr_mtu;
	if (ioctl(descriptor, SIOCGIFHWADDR, request) != 0)
		return errno;
	interface->is_ethernet = request->ifr_hwaddr.sa_family == ARPHRD_ETHER;
	memcpy(interface->mac_address, request->ifr_hwaddr.sa_data, 6);

	/* Not /sys/class/net: it may show another network namespace. */
	request->ifr_data = (void *)&channels;
	if (ioctl(descriptor, SIOCETHTOOL, request) == 0)
		interface->receive_queues = channels.rx_count + channels.combined_count;
	if (interface->receive_queues == 0)
		interface->receive_queues = 1;
	return 0;
}

int cxdp_describe_interface(const char *name, struct cxdp_interface *interface)
{
	struct ifreq request = {0};
	int descriptor, result;

	memset(interface, 0, sizeof(*interface));
	if (strlen(name) >= sizeof(request.ifr_name))
		return ENODEV;
	strcpy(request.ifr_name, name);
	descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (descriptor < 0)
		return errno;
	result = describe(descriptor, &request, interface);
	close(descriptor);
	return result;
}

void cxdp_silence_libraries(void)
{
	libbpf_set_print(NULL);
	libxdp_set_print(NULL);
}
