package main

// The certificate authorities that Mozilla trusts, for a machine that knows
// none, as an image of nothing but this program: agents and webhooks on HTTPS
// are checked with them. A machine's own come first.
import _ "golang.org/x/crypto/x509roots/fallback"
