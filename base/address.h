/* address.h - names of hosts that need nobody to resolve them. */
#ifndef DARKROOM_BASE_ADDRESS_H
#define DARKROOM_BASE_ADDRESS_H

/* host, or for "localhost" the machine's own loopback address, "127.0.0.1" or where there is only
 * IPv6 "::1": that name is loopback by definition (RFC 6761), and a container without /etc/hosts
 * would ask a name server for it. Borrowed or literal. */
const char *address_host(const char *host);

#endif
