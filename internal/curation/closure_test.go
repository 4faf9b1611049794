package curation

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// candidate gives an upstream package: "name version [arch]", then fields as "Depends: …".
func candidate(identity, source string, fields ...string) Candidate {
	f := append(strings.Fields(identity), "amd64")
	e := deb.IndexEntry{Name: f[0], Version: f[1], Arch: f[2], Source: source, SourceVersion: f[1]}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		switch name {
		case "Depends":
			e.Depends = value
		case "Pre-Depends":
			e.PreDepends = value
		case "Provides":
			e.Provides = value
		case "Conflicts":
			e.Conflicts = value
		case "Breaks":
			e.Breaks = value
		case "Multi-Arch":
			e.MultiArch = value
		default:
			panic(field)
		}
	}
	return Candidate{IndexEntry: e, Upstream: "test"}
}

// set gives a host's packages: "name version source [arch]". dpkg is on every host.
func set(lines ...string) pkgset.Set {
	var s pkgset.Set
	for _, line := range append(lines, "dpkg 1.21 dpkg") {
		f := append(strings.Fields(line), "amd64")
		s = append(s, pkgset.Package{Name: f[0], Version: f[1], Source: f[2], Arch: f[3], SourceVersion: f[1]})
	}
	slices.SortFunc(s, func(a, b pkgset.Package) int { return strings.Compare(a.Name+" "+a.Arch, b.Name+" "+b.Arch) })
	return s
}

var openssl = Acceptance{Decision: "dec_1", Person: "alice", Source: "openssl", Version: "3.0.2"}

func TestClosure(t *testing.T) {
	old := set("openssl 3.0.1 openssl", "libssl3 3.0.1 openssl", "libc6 2.36 glibc")
	for rule, c := range map[string]struct {
		candidates []Candidate
		accepted   []Acceptance
		sets       []pkgset.Set
		want       string // "name=version (because)", or part of the error
		refused    bool
	}{
		"installed binaries of the accepted source, at the newest version": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libssl3 (>= 3.0.2), libc6 (>= 2.34)"), candidate("libssl3 3.0.2", "openssl"),
				candidate("openssl 3.0.3", "openssl", "Depends: libssl3 (>= 3.0.3)"), candidate("libssl3 3.0.3", "openssl"), candidate("libssl-doc 3.0.3 all", "openssl")},
			want: "libssl3=3.0.3 (accepted), openssl=3.0.3 (accepted)",
		},
		"older in the security suite than in main": {
			candidates: []Candidate{candidate("openssl 3.0.0", "openssl"), candidate("openssl 3.0.3", "openssl"), candidate("libssl3 3.0.3", "openssl")},
			want:       "libssl3=3.0.3 (accepted), openssl=3.0.3 (accepted)",
		},
		"nothing where the fix is installed": {
			candidates: []Candidate{candidate("openssl 3.0.3", "openssl")}, sets: []pkgset.Set{set("openssl 3.0.2 openssl")}, want: "",
		},
		"one host is enough": {
			candidates: []Candidate{candidate("openssl 3.0.3", "openssl"), candidate("libssl3 3.0.3", "openssl")},
			sets:       []pkgset.Set{set("libc6 2.36 glibc"), set("libssl3 3.0.1 openssl")}, want: "libssl3=3.0.3 (accepted)",
		},
		"no version that fixes": {
			candidates: []Candidate{candidate("openssl 3.0.1-2", "openssl"), candidate("libssl3 3.0.1-2", "openssl")},
			want:       "no upstream has openssl in version 3.0.2", refused: true,
		},
		"a fix under another source's name is none": {
			candidates: []Candidate{candidate("openssl 3.0.3", "openssl-ng"), candidate("libssl3 3.0.3", "openssl-ng")},
			want:       "no upstream has openssl", refused: true,
		},
		"the highest accepted version counts": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl"), candidate("libssl3 3.0.2", "openssl")},
			accepted:   []Acceptance{openssl, {Decision: "dec_2", Person: "bob", Source: "openssl", Version: "3.0.4"}},
			want:       "in version 3.0.4 or later, which decision dec_2 accepts", refused: true,
		},
		"new dependency, with its own": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Pre-Depends: libnew (>= 1)"), candidate("libssl3 3.0.2", "openssl"),
				candidate("libnew 1.1 all", "new", "Depends: libdeep"), candidate("libdeep 1", "deep")},
			want: "libdeep=1 (dependency of libnew), libnew=1.1 (dependency of openssl), libssl3=3.0.2 (accepted), openssl=3.0.2 (accepted)",
		},
		"dependency upgraded with all installed of its source": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libc6 (>= 2.37)"), candidate("libssl3 3.0.2", "openssl"),
				candidate("libc6 2.37", "glibc"), candidate("libc-bin 2.37", "glibc"), candidate("libc-dev 2.37", "glibc")},
			sets: []pkgset.Set{set("openssl 3.0.1 openssl", "libc6 2.36 glibc", "libc-bin 2.36 glibc")},
			want: "libc-bin=2.37 (same source as libc6), libc6=2.37 (dependency of openssl), openssl=3.0.2 (accepted)",
		},
		"alternative met by an installed package": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libnew | libc6"), candidate("libssl3 3.0.2", "openssl"), candidate("libnew 1", "new")},
			want:       "libssl3=3.0.2 (accepted), openssl=3.0.2 (accepted)",
		},
		"upgrade of an installed package before a new one": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libnew | libc6 (>= 2.37)"), candidate("libssl3 3.0.2", "openssl"), candidate("libnew 1", "new"), candidate("libc6 2.37", "glibc")},
			want:       "libc6=2.37 (dependency of openssl), libssl3=3.0.2 (accepted), openssl=3.0.2 (accepted)",
		},
		"virtual package provided by an installed one of another version": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: mta"), candidate("libssl3 3.0.2", "openssl"),
				candidate("exim 1", "exim", "Provides: mta"), candidate("postfix 3", "postfix", "Provides: other, mta")},
			sets: []pkgset.Set{set("openssl 3.0.1 openssl", "postfix 2 postfix")}, want: "openssl=3.0.2 (accepted)",
		},
		"virtual package provided by nothing installed": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: mta"), candidate("libssl3 3.0.2", "openssl"), candidate("exim 1", "exim", "Provides: mta")},
			want:       "exim=1 (dependency of openssl), libssl3=3.0.2 (accepted), openssl=3.0.2 (accepted)",
		},
		"dependency of another architecture": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libx"), candidate("libssl3 3.0.2", "openssl"), candidate("libx 1 i386", "x"), candidate("libx 1 amd64", "x")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "libx 1 x i386")}, want: "libx=1 (dependency of openssl), openssl=3.0.2 (accepted)",
		},
		"foreign architecture that serves": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libx"), candidate("libssl3 3.0.2", "openssl"), candidate("libx 1 i386", "x", "Multi-Arch: foreign")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "libx 1 x i386")}, want: "openssl=3.0.2 (accepted)",
		},
		"dependency that nothing meets": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: libnew | libc6 (>= 3)"), candidate("libssl3 3.0.2", "openssl")},
			want:       "openssl 3.0.2 needs libnew or libc6 (>= 3)", refused: true,
		},
		"old kernel stays, the new one comes": {
			candidates: []Candidate{candidate("linux-image-amd64 6.1.192", "linux", "Depends: linux-image-56 (= 6.1.192)"), candidate("linux-image-56 6.1.192", "linux")},
			accepted:   []Acceptance{{Decision: "dec_1", Person: "alice", Source: "linux", Version: "6.1.190"}},
			sets:       []pkgset.Set{set("linux-image-amd64 6.1.176 linux", "linux-image-50 6.1.176 linux")},
			want:       "linux-image-56=6.1.192 (dependency of linux-image-amd64), linux-image-amd64=6.1.192 (accepted)",
		},
		"broken package is upgraded": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Breaks: curl (<< 8)"), candidate("libssl3 3.0.2", "openssl"), candidate("curl 8.1", "curl")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "curl 7 curl")},
			want:       "curl=8.1 (older versions are broken by openssl), openssl=3.0.2 (accepted)",
		},
		"broken package that cannot be upgraded": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Breaks: curl (<< 8)"), candidate("libssl3 3.0.2", "openssl"), candidate("curl 7.9", "curl")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "curl 7 curl")},
			want:       "openssl 3.0.2 cannot be installed together with curl 7", refused: true,
		},
		"conflict with what an installed package provides": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Conflicts: tls", "Provides: tls"), candidate("libssl3 3.0.2", "openssl"), candidate("gnutls 3", "gnutls", "Provides: tls")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "gnutls 3 gnutls")},
			want:       "openssl 3.0.2 cannot be installed together with gnutls 3", refused: true,
		},
		"conflict that an installed package declares": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl"), candidate("libssl3 3.0.2", "openssl"), candidate("gnutls 3", "gnutls", "Breaks: openssl (>= 3.0.2)")},
			sets:       []pkgset.Set{set("openssl 3.0.1 openssl", "gnutls 3 gnutls")},
			want:       "gnutls 3 cannot be installed together with openssl 3.0.2", refused: true,
		},
		"unreadable relation": {
			candidates: []Candidate{candidate("openssl 3.0.2", "openssl", "Depends: (("), candidate("libssl3 3.0.2", "openssl")},
			want:       "is not of the form", refused: true,
		},
	} {
		t.Run(rule, func(t *testing.T) {
			accepted, sets := c.accepted, c.sets
			if accepted == nil {
				accepted = []Acceptance{openssl}
			}
			if sets == nil {
				sets = []pkgset.Set{old}
			}
			for range 5 { // the order of maps must not matter
				chosen, err := Close(slices.Clone(c.candidates), accepted, sets)
				if c.refused {
					if fault.KindOf(err) == fault.Internal || !strings.Contains(err.Error(), c.want) {
						t.Fatalf("got %v, %v, want the error %q", chosen, err, c.want)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, p := range chosen {
					got = append(got, p.Name+"="+p.Version+" ("+p.Because+")")
					if p.Acceptance.Person != "alice" {
						t.Errorf("%s is accepted by %q", p.Name, p.Acceptance.Person)
					}
				}
				if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
					t.Fatal(d)
				}
			}
		})
	}
}
