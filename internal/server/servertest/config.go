// Package servertest configures servers for tests that go through their doors.
package servertest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"

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

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
