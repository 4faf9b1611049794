package rpm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// line is rpm's answer for one package.
func line(fields ...string) string {
	for len(fields) < 10 {
		fields = append(fields, "(none)")
	}
	return strings.Join(fields, unit) + record
}

func TestQueryIsRead(t *testing.T) {
	answer := line("openssl-libs", "1:3.0.7-24.el9", "x86_64", "openssl-3.0.7-24.el9.src.rpm", "(none)", "Rocky\tEnterprise\nSoftware",
		"RSA/SHA256, Tue 01 Aug 2023 12:00:00 PM UTC, Key ID 702D426D350D275D") +
		line("ruby", "0:3.1.4-143.module+el9", "x86_64", "ruby-3.1.4-143.module+el9.src.rpm", "ruby:3.1:9030020231006151046:9") +
		line("gpg-pubkey", "0:350d275d-6279464b", "(none)") +
		line("local", "0:1-1", "noarch", "(none)", "(none)", "(none)", "(none)", "(none)", "RSA/SHA1, x, Key ID 0123456789abcdef")
	got, err := ParseQuery([]byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	want := []Installed{
		{"openssl-libs", "x86_64", "1:3.0.7-24.el9", "openssl", "3.0.7-24.el9", "", "Rocky?Enterprise?Software", "702d426d350d275d"},
		{"ruby", "x86_64", "3.1.4-143.module+el9", "ruby", "3.1.4-143.module+el9", "ruby:3.1:9030020231006151046:9", "", ""},
		{"gpg-pubkey", "noarch", "350d275d-6279464b", "gpg-pubkey", "350d275d-6279464b", "", "", ""},
		{"local", "noarch", "1-1", "local", "1-1", "", "", "0123456789abcdef"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	for _, answer := range []string{
		"x", line("a b", "0:1-1", "noarch"), line("a", "0:1", "noarch"), line("a", "0:1-1", "no/arch"), line("a", "0:1-1", ""),
		line("a", "0:1-1", "noarch", "a-1-1.rpm"), line("a", "0:1-1", "noarch", "1-1.src.rpm"), line("a", "0:1-1", "noarch", "(none)", "a b"),
		line("a", "0:1-1", "noarch", "(none)", "(none)", "(none)", "Key ID nothex"), line("a", "0:1-1", "noarch", "", "", "", "", "", "", "", "more"),
	} {
		if got, err := ParseQuery([]byte(answer)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
}

func TestDatabaseIsFoundInEitherPlace(t *testing.T) {
	root := t.TempDir()
	if dir, err := Database(root); dir != "" || err != nil {
		t.Errorf("an empty root has %q (%v)", dir, err)
	}
	for _, place := range []string{"var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db"} {
		file := filepath.Join(root, place)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if dir, err := Database(root); dir != filepath.Dir(file) || err != nil {
			t.Errorf("%s: %q (%v)", place, dir, err)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(line("ruby", "0:3.1.4-143.module+el9", "x86_64", "ruby-3.1.4-143.el9.src.rpm", "ruby:3.1:9:9", "Vendor", "Key ID 0123456789abcdef"))
	f.Fuzz(func(t *testing.T, answer string) {
		all, err := ParseQuery([]byte(answer))
		if err != nil {
			return
		}
		for _, p := range all {
			if _, err := Key(p.Version); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			if strings.ContainsAny(p.Name+p.Arch+p.Source+p.Module+p.Vendor+p.Key, "\t\n\x00") {
				t.Errorf("%+v", p)
			}
		}
	})
}
