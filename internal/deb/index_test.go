package deb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const samplePackages = `Package: sudo
Version: 1.9.13p3-1+deb12u4
Architecture: amd64
Depends: libaudit1 (>= 1:2.2.1), libc6 (>= 2.34)
Filename: pool/main/s/sudo/sudo_1.9.13p3-1+deb12u4_amd64.deb
Size: 1889368
SHA256: 00000000000000000000000000000000000000000000000000000000000000aa

Package: libssl3
Source: openssl
Version: 3.0.22-1~deb12u2
Architecture: amd64
Multi-Arch: same
Provides: libssl-fips (= 3.0.22)
Filename: pool/updates/main/o/openssl/libssl3_3.0.22-1~deb12u2_amd64.deb
Size: 2039888
SHA256: 00000000000000000000000000000000000000000000000000000000000000bb
`

func TestParsePackages(t *testing.T) {
	var got []IndexEntry
	for e, err := range ParsePackages(strings.NewReader(samplePackages)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	first, second, _ := strings.Cut(samplePackages, "\n\n")
	want := []IndexEntry{
		{Name: "sudo", Arch: "amd64", Version: "1.9.13p3-1+deb12u4", Source: "sudo", SourceVersion: "1.9.13p3-1+deb12u4",
			Depends: "libaudit1 (>= 1:2.2.1), libc6 (>= 2.34)", Filename: "pool/main/s/sudo/sudo_1.9.13p3-1+deb12u4_amd64.deb",
			Size: 1889368, SHA256: strings.Repeat("0", 62) + "aa", Raw: first + "\n"},
		{Name: "libssl3", Arch: "amd64", Version: "3.0.22-1~deb12u2", Source: "openssl", SourceVersion: "3.0.22-1~deb12u2",
			MultiArch: "same", Provides: "libssl-fips (= 3.0.22)", Filename: "pool/updates/main/o/openssl/libssl3_3.0.22-1~deb12u2_amd64.deb",
			Size: 2039888, SHA256: strings.Repeat("0", 62) + "bb", Raw: second},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMalformedIndexIsRefused(t *testing.T) {
	for rule, change := range map[string][2]string{
		"name":           {"Package: sudo", "Package: SUDO"},
		"arch":           {"Architecture: amd64", "Architecture: "},
		"version":        {"Version: 1.9", "Version: x y"},
		"size":           {"Size: 1889368", "Size: -1"},
		"huge":           {"Size: 1889368", "Size: 99999999999999"},
		"digest":         {"00000000000000aa", "00000000000000AA"},
		"climbing path":  {"pool/main/s/sudo", "pool/../../etc"},
		"absolute path":  {"Filename: pool", "Filename: /pool"},
		"truncated line": {"Size: 1889368", "Siz"},
	} {
		var err error
		for _, e := range ParsePackages(strings.NewReader(strings.Replace(samplePackages, change[0], change[1], 1))) {
			if e != nil {
				err = e
			}
		}
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an error of kind invalid", rule, err)
		}
	}
}

func TestParseRelations(t *testing.T) {
	got, err := ParseRelations("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0,\n python3:any (<< 3.12), ab(=1-1),")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Relation{
		{{Name: "libc6", Op: ">=", Version: "2.34"}},
		{{Name: "debconf", Op: ">=", Version: "0.5"}, {Name: "debconf-2.0"}},
		{{Name: "python3", Qualifier: "any", Op: "<<", Version: "3.12"}},
		{{Name: "ab", Op: "=", Version: "1-1"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"ab |", "ab (1)", "ab (>= )", "ab (>= 1", "ab [amd64]", "ab <!nocheck>", "ab: (>= 1)", "ab cd", "(>= 1)"} {
		if got, err := ParseRelations(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestRelationSatisfiedBy(t *testing.T) {
	provides, err := ParseRelations("mail-agent, api (= 2-1)")
	if err != nil {
		t.Fatal(err)
	}
	for relation, want := range map[string]bool{
		"exim4": true, "exim4 (>= 4-1)": true, "exim4 (<< 4-1)": false, "exim4 (= 4-1)": true, "exim4 (>> 4-1)": false, "exim4 (<= 4-1)": true,
		"mail-agent": true, "mail-agent (>= 1)": false, "api (>= 2)": true, "api (>> 2-1)": false, "postfix": false,
	} {
		r, err := ParseRelations(relation)
		if err != nil {
			t.Fatal(err)
		}
		if got := r[0][0].SatisfiedBy("exim4", "4-1", provides); got != want {
			t.Errorf("%s: satisfied %v, want %v", relation, got, want)
		}
	}
}

func FuzzParseRelations(f *testing.F) {
	f.Add("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.12)")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseRelations(text)
		if err != nil {
			return
		}
		for _, alternatives := range all {
			for _, r := range alternatives {
				again, err := ParseRelations(r.String())
				if err != nil || again[0][0] != r {
					t.Fatalf("%v is written %q and read again as %v, %v", r, r, again, err)
				}
			}
		}
	})
}
