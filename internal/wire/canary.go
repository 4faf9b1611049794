package wire

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// CanaryPackage is a package that no host has: a check-in carries it beside the package set, so that sets stay shared.
const CanaryPackage = "patchwarrant-canary"

// MaxRelease bounds the release file of a channel, in bytes.
const MaxRelease = 64 << 10

const maxCanary = 64 // bytes of a seed and of a version

// CanaryVersion is the version of CanaryPackage by which a host answers a seed. It is of this seed and this host alone.
func CanaryVersion(seed, host string) string {
	return "0." + envelope.Digest([]byte("patchwarrant canary " + seed + " " + host))[:32]
}

func validCanary(s string) bool {
	return len(s) <= maxCanary && strings.Trim(s, "0123456789abcdef.") == ""
}
