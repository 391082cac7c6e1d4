// Package peers runs the servers that Patchbay is measured against, from
// Debian's packages: Kamailio, which refuses calls without keeping anything, or
// relays them after a look at source and user; and rtpengine, which bridges RTP
// to SRTP in user space.
package peers
