// Package reference holds what Patchbay is measured against in the same run:
// a user agent server of bare sipgo, a forwarder of UDP packets in plain Go, and
// two pion peers that connect to each other. Each does the least that the work
// takes; none of it is used by the product.
package reference
