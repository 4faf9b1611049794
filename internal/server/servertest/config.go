// Package servertest configures servers for tests that go through their doors.
package servertest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/patchwarrant/patchwarrant/internal/mirror"
)

// Configure writes server.toml into a directory: a server in a hurry, with one upstream, on ports of this machine that are
// free just now. The ledger has the name origin. People see the server at https://name, or where it is if that is empty.
func Configure(dir, origin, name string, u mirror.Upstream) (file string, err error) {
	keyring := filepath.Join(dir, "archive.asc")
	if err := os.WriteFile(keyring, u.Keyring, 0o600); err != nil {
		return "", err
	}
	var doors [3]string
	for i := range doors {
		if doors[i], err = free(); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf(`data = %q
origin = %q
names = [%q, "127.0.0.1"]
url = "https://%s"
notice_hours = 0
sweep = "200ms"
rest = "1s"
busy = "1s"
releases = ["bookworm"]
[listen]
people = %q
agents = %q
repository = %q
[[upstream]]
name = %q
url = %q
suite = %q
component = %q
arch = %q
keyring = %q
fingerprints = [%q]
max_age = "240h"
`, filepath.Join(dir, "data"), origin, cmp.Or(name, "127.0.0.1"), cmp.Or(name, doors[0]),
		doors[0], doors[1], doors[2], u.Name, u.URL, u.Suite, u.Component, u.Arch, keyring, u.Fingerprints[0])
	file = filepath.Join(dir, "server.toml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// Ports are handed out below those that systems give to who asks for any, so that no connection of a test that runs beside
// this one takes a port before its server listens; each once, and other processes begin elsewhere.
const lowest, ports = 20_000, 10_000

var handed atomic.Uint32

func free() (string, error) {
	for range ports {
		port := lowest + (uint32(os.Getpid())*97+handed.Add(1))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("no port from %d to %d is free", lowest, lowest+ports-1)
}
