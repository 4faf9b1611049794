// Package id makes and checks the names of records: a short prefix for the kind, then 26 characters that sort by time
// and cannot be guessed (48 bits of milliseconds, 80 random bits, Crockford's base 32 in lower case).
package id

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
	"time"
)

var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// New makes an ID such as "ord_01…" for a record made at now.
func New(prefix string, now time.Time) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	rand.Read(b[6:])
	return prefix + "_" + alphabet.EncodeToString(b[:])
}

// Valid reports whether s has the form New gives for prefix.
func Valid(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(rest) != 26 {
		return false
	}
	b, err := alphabet.DecodeString(rest)
	return err == nil && alphabet.EncodeToString(b) == rest
}
