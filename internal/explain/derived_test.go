package explain

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// stagehand builds a scene from files before and after; "-> x" is a symlink.
func stagehand(before, after map[string]string) *scene {
	s := &scene{before: &wire.HostFacts{}, after: &wire.HostFacts{}, staged: map[string][]filetree.Entry{}, gone: map[string]bool{}, expected: map[string]Expected{}}
	s.wasAt, s.isAt = side(before, s.before), side(after, s.after)
	s.actions = []warrant.Action{{Do: "upgrade", Name: "tool", Arch: "amd64", From: "1", To: "2", SHA256: strings.Repeat("a", 64)}}
	return s
}

func side(files map[string]string, facts *wire.HostFacts) lookup {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(files[path], "-> ") {
			facts.Files = append(facts.Files, wire.FactFile{Path: path, Size: int64(len(files[path])), Content: []byte(files[path])})
		}
	}
	return func(path string) *filetree.Entry {
		content, ok := files[path]
		if !ok {
			return nil
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			return &filetree.Entry{Type: filetree.Symlink, Mode: 0o777, Target: target, User: "root", Group: "root"}
		}
		mode := uint32(0o644)
		if path == "/var/lib/systemd/random-seed" {
			mode = 0o600
		}
		return &filetree.Entry{Type: filetree.File, Mode: mode, User: "root", Group: "root", Size: int64(len(content)), SHA256: envelope.Digest([]byte(content))}
	}
}

func words(b *bytes.Buffer, all ...uint32) {
	for _, w := range all {
		b.Write(binary.LittleEndian.AppendUint32(nil, w))
	}
}

// ldCacheOf writes an ld.so.cache of name, path pairs.
func ldCacheOf(pairs ...string) string {
	var head, entries, text bytes.Buffer
	base := 48 + len(pairs)/2*24
	put := func(s string) uint32 {
		at := base + text.Len()
		text.WriteString(s + "\x00")
		return uint32(at)
	}
	for i := 0; i < len(pairs); i += 2 {
		words(&entries, 0x303, put(pairs[i]), put(pairs[i+1]), 0, 0, 0)
	}
	head.WriteString("glibc-ld.so.cache1.1")
	words(&head, uint32(len(pairs)/2), uint32(text.Len()), 2, 0, 0, 0, 0)
	return head.String() + entries.String() + text.String()
}

func TestDerivations(t *testing.T) {
	const machine = "0123456789abcdef0123456789abcdef"
	id, _ := hex.DecodeString(machine)
	journalOf := func(id []byte) string { return "LPKSHHRH" + strings.Repeat("\x00", 32) + string(id) + "rest" }
	cert := func(name string) map[string]string {
		return map[string]string{"/etc/ca-certificates.conf": "# list\na.crt\n!off.crt\n", "/usr/share/ca-certificates/a.crt": "A\n",
			"/usr/share/ca-certificates/off.crt": "OFF\n", "/usr/local/share/ca-certificates/my own.crt": "B", "name": name}
	}
	with := func(m map[string]string, more ...string) map[string]string {
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	const question = "Name: tool/q\nOwners: tool\nValue: 1\n\nName: other/q\nOwners: other\nValue: 1\n"
	for name, c := range map[string]struct {
		before, after map[string]string
		path          string
		rule          string
		ok            bool
	}{
		"pyc planted":        {nil, map[string]string{"/usr/lib/python3/__pycache__/x.pyc": "x"}, "/usr/lib/python3/__pycache__/x.pyc", "", false},
		"question of ours":   {map[string]string{"/var/cache/debconf/config.dat": question}, map[string]string{"/var/cache/debconf/config.dat": strings.Replace(question, "1", "2", 1)}, "/var/cache/debconf/config.dat", "debconf", true},
		"question of others": {map[string]string{"/var/cache/debconf/config.dat": question}, map[string]string{"/var/cache/debconf/config.dat": strings.ReplaceAll(question, "1", "2")}, "/var/cache/debconf/config.dat", "debconf", false},
		"previous questions": {map[string]string{"/var/cache/debconf/config.dat": question, "/var/cache/debconf/config.dat-old": "x"}, map[string]string{"/var/cache/debconf/config.dat-old": question}, "/var/cache/debconf/config.dat-old", "debconf", true},
		"library of ours": {map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/lib/a")}, map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/lib/a", "t", "/lib/tool.so")},
			"/etc/ld.so.cache", "ldconfig", true},
		"library planted": {map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/lib/a")}, map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/tmp/a")},
			"/etc/ld.so.cache", "ldconfig", false},
		"cache of nonsense": {map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/lib/a")}, map[string]string{"/etc/ld.so.cache": ldCacheOf("a", "/lib/a")[:60]},
			"/etc/ld.so.cache", "ldconfig", false},
		"journal": {nil, map[string]string{"/etc/machine-id": machine + "\n", "/var/log/journal/" + machine + "/system.journal": journalOf(id)},
			"/var/log/journal/" + machine + "/system.journal", "journal", true},
		"journal of another": {nil, map[string]string{"/etc/machine-id": machine + "\n", "/var/log/journal/" + machine + "/system.journal": journalOf(make([]byte, 16))},
			"/var/log/journal/" + machine + "/system.journal", "journal", false},
		"script as journal": {nil, map[string]string{"/etc/machine-id": machine + "\n", "/var/log/journal/" + machine + "/x.journal": "#!/bin/sh\n"},
			"/var/log/journal/" + machine + "/x.journal", "journal", false},
		"random seed": {map[string]string{"/var/lib/systemd/random-seed": "a"}, map[string]string{"/var/lib/systemd/random-seed": "b"}, "/var/lib/systemd/random-seed", "random seed", true},
		"bundle":      {nil, with(cert(""), "/etc/ssl/certs/ca-certificates.crt", "A\nB\n"), "/etc/ssl/certs/ca-certificates.crt", "certificates", true},
		"bundle with more": {nil, with(cert(""), "/etc/ssl/certs/ca-certificates.crt", "A\nB\nEVIL\n"),
			"/etc/ssl/certs/ca-certificates.crt", "certificates", false},
		"link":                {nil, with(cert(""), "/etc/ssl/certs/a.pem", "-> /usr/share/ca-certificates/a.crt"), "/etc/ssl/certs/a.pem", "certificates", true},
		"link of a local one": {nil, with(cert(""), "/etc/ssl/certs/my_own.pem", "-> /usr/local/share/ca-certificates/my own.crt"), "/etc/ssl/certs/my_own.pem", "certificates", true},
		"link of a disabled":  {nil, with(cert(""), "/etc/ssl/certs/off.pem", "-> /usr/share/ca-certificates/off.crt"), "/etc/ssl/certs/off.pem", "certificates", false},
		"link elsewhere":      {nil, with(cert(""), "/etc/ssl/certs/a.pem", "-> /tmp/evil.crt"), "/etc/ssl/certs/a.pem", "certificates", false},
		"link by hash":        {nil, with(cert(""), "/etc/ssl/certs/01234567.0", "-> a.pem"), "/etc/ssl/certs/01234567.0", "certificates", true},
		"hash elsewhere":      {nil, with(cert(""), "/etc/ssl/certs/01234567.0", "-> evil.pem"), "/etc/ssl/certs/01234567.0", "certificates", false},
		"hash as file":        {nil, with(cert(""), "/etc/ssl/certs/01234567.0", "EVIL"), "/etc/ssl/certs/01234567.0", "certificates", false},
		"enabled link gone":   {map[string]string{"/etc/ssl/certs/a.pem": "-> /usr/share/ca-certificates/a.crt"}, cert(""), "/etc/ssl/certs/a.pem", "certificates", false},
		"disabled link gone":  {map[string]string{"/etc/ssl/certs/off.pem": "-> /usr/share/ca-certificates/off.crt"}, cert(""), "/etc/ssl/certs/off.pem", "certificates", true},
		"own unit enabled":    {nil, map[string]string{"/etc/systemd/system/multi-user.target.wants/tool.service": "-> /lib/systemd/system/tool.service"}, "/etc/systemd/system/multi-user.target.wants/tool.service", "unit link", true},
		"unit under another's name": {nil, map[string]string{"/etc/systemd/system/multi-user.target.wants/ssh.service": "-> /lib/systemd/system/tool.service"},
			"/etc/systemd/system/multi-user.target.wants/ssh.service", "unit link", false},
		"alias that takes a unit's place": {nil, map[string]string{"/etc/systemd/system/ssh.service": "-> /lib/systemd/system/tool.service"},
			"/etc/systemd/system/ssh.service", "unit link", false},
		"unit remembered": {nil, map[string]string{"/var/lib/systemd/deb-systemd-helper-enabled/tool.service.dsh-also": "/etc/systemd/system/multi-user.target.wants/tool.service\n"},
			"/var/lib/systemd/deb-systemd-helper-enabled/tool.service.dsh-also", "unit state", true},
		"package of the plan": {nil, map[string]string{"/var/cache/apt/archives/x.deb": "x"}, "/var/cache/apt/archives/x.deb", "apt archive", false},
	} {
		s := stagehand(c.before, c.after)
		s.contents = []*Contents{{Name: "tool", Triggers: []string{"ldconfig", "update-ca-certificates"}, Files: []Shipped{{Path: "/lib/systemd/system/tool.service"}}}}
		s.expected["/lib/tool.so"] = Expected{Entry: filetree.Entry{Type: filetree.File}}
		rule, _, why := s.derive(filetree.Change{Path: c.path, Before: s.wasAt(c.path), After: s.isAt(c.path)})
		if rule != c.rule || c.rule != "" && (why == "") != c.ok {
			t.Errorf("%s: rule %q, %q; want rule %q, accepted %v", name, rule, why, c.rule, c.ok)
		}
		if strings.HasPrefix(c.rule, "certificates") || c.rule == "ldconfig" {
			s.contents[0].Triggers = nil
			if _, _, why := s.derive(filetree.Change{Path: c.path, Before: s.wasAt(c.path), After: s.isAt(c.path)}); why == "" {
				t.Errorf("%s: accepted without a cause", name)
			}
		}
	}
}

func TestUnreadableIsLikeNothing(t *testing.T) {
	for note, want := range map[string]bool{"": true, filetree.Excluded: true, filetree.Mount: true, filetree.Volatile: true, filetree.Sparse: true,
		filetree.Unreadable: false, filetree.Unstable: false, filetree.ReadError: false, filetree.TooLarge: false, filetree.Attributes: false, filetree.Secret: false} {
		e := filetree.Entry{Type: filetree.File, Note: note}
		if got := unlike(e, e) == ""; got != want {
			t.Errorf("two entries with note %q are alike: %v, want %v", note, got, want)
		}
	}
}

func TestCanonical(t *testing.T) {
	look := side(map[string]string{"/lib": "-> usr/lib", "/abs": "-> /usr/lib/x", "/usr/lib/up": "-> ../share/y", "/loop": "-> loop"}, &wire.HostFacts{})
	for path, want := range map[string]string{
		"/lib/a": "/usr/lib/a", "/lib": "/lib", "/abs/f": "/usr/lib/x/f", "/lib/up/z": "/usr/share/y/z", "/usr/bin/x": "/usr/bin/x", "/": "/",
		"/loop/x": "/loop/x",
	} {
		if got := canonical(path, look); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestFilters(t *testing.T) {
	p := &predictor{}
	p.readConfig([]byte("# x\npath-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\npath-exclude \"/usr/share/man/*\"\nno-debsig\n"))
	for path, want := range map[string]bool{
		"/usr/share/doc/a/b/c": true, "/usr/share/doc/a/copyright": false, "/usr/share/man/x": true, "/usr/bin/x": false,
	} {
		if got := p.excluded(Shipped{Path: path}); got != want {
			t.Errorf("%s excluded: %v, want %v", path, got, want)
		}
	}
}

func FuzzBooks(f *testing.F) {
	f.Add([]byte(ldCacheOf("a", "/lib/a")), []byte("Package: tool\nArchitecture: amd64\nVersion: 2\nStatus: install ok installed\n"))
	f.Add([]byte("2026-11-21 08:06:15 status installed tool:amd64 2\n"), []byte("\nUpgrade: tool:amd64 (1, 2)\n"))
	f.Add([]byte(" "), []byte("0"))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		for _, d := range derivations {
			for _, path := range []string{"/var/lib/dpkg/status", "/var/lib/dpkg/triggers/File", "/var/log/dpkg.log", "/var/log/apt/history.log",
				"/var/log/apt/eipp.log.xz", "/var/lib/apt/extended_states", "/var/cache/debconf/config.dat", "/etc/ld.so.cache",
				"/etc/ca-certificates.conf", "/etc/ssl/certs/ca-certificates.crt"} {
				if d.outputs.MatchString(path) {
					s := stagehand(map[string]string{path: string(before)}, map[string]string{path: string(after)})
					d.check(s, filetree.Change{Path: path, Before: s.wasAt(path), After: s.isAt(path)})
				}
			}
		}
	})
}
