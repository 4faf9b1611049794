package rollout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

func entry(name, version string, more ...func(*deb.IndexEntry)) deb.IndexEntry {
	e := deb.IndexEntry{Name: name, Arch: "amd64", Version: version, SHA256: "digest of " + name + version, Size: 7, Filename: "pool/" + name}
	for _, m := range more {
		m(&e)
	}
	return e
}

func depends(d string) func(*deb.IndexEntry)  { return func(e *deb.IndexEntry) { e.Depends = d } }
func provides(p string) func(*deb.IndexEntry) { return func(e *deb.IndexEntry) { e.Provides = p } }
func arch(a string) func(*deb.IndexEntry)     { return func(e *deb.IndexEntry) { e.Arch = a } }

// host takes name, version pairs.
func host(id string, packages ...string) HostPackages {
	h := HostPackages{ID: id, Arch: "amd64"}
	for i := 0; i < len(packages); i += 2 {
		h.Packages = append(h.Packages, pkgset.Package{Name: packages[i], Arch: "amd64", Version: packages[i+1]})
	}
	return h
}

// brief gives the actions of each host as "do name from>to".
func brief(p Plan) map[string][]string {
	m := map[string][]string{}
	for _, t := range p.Transactions {
		for _, h := range t.Hosts {
			for _, a := range t.Actions {
				m[h] = append(m[h], a.Do+" "+a.Name+":"+a.Arch+" "+a.From+">"+a.To)
			}
		}
	}
	return m
}

func TestPlanTransactions(t *testing.T) {
	for name, c := range map[string]struct {
		hosts    []HostPackages
		snapshot []deb.IndexEntry
		want     map[string][]string
		idle     []string
	}{
		"upgrades only what is lower": {
			hosts:    []HostPackages{host("h", "curl", "7.88.1-10+deb12u9", "vim", "2:9.0", "zlib1g", "1.3")},
			snapshot: []deb.IndexEntry{entry("curl", "7.88.1-10+deb12u14"), entry("vim", "2:9.0"), entry("zlib1g", "1.2.13"), entry("nginx", "1.22")},
			want:     map[string][]string{"h": {"upgrade curl:amd64 7.88.1-10+deb12u9>7.88.1-10+deb12u14"}},
		},
		"installs a dependency the host lacks, and its own": {
			hosts: []HostPackages{host("h", "curl", "1")},
			snapshot: []deb.IndexEntry{
				entry("curl", "2", depends("libcurl4 (= 2), libc6 (>= 2.36)")), entry("libcurl4", "2", depends("libssl3")),
				entry("libssl3", "3"), entry("unrelated", "1")},
			want: map[string][]string{"h": {"upgrade curl:amd64 1>2", "install libcurl4:amd64 >2", "install libssl3:amd64 >3"}},
		},
		"a met alternative installs nothing": {
			hosts:    []HostPackages{host("h", "a", "1", "exim", "4")},
			snapshot: []deb.IndexEntry{entry("a", "2", depends("postfix | exim (>= 4)")), entry("postfix", "3")},
			want:     map[string][]string{"h": {"upgrade a:amd64 1>2"}},
		},
		"the first alternative of the snapshot is taken": {
			hosts:    []HostPackages{host("h", "a", "1")},
			snapshot: []deb.IndexEntry{entry("a", "2", depends("absent | mta")), entry("postfix", "3", provides("mta"))},
			want:     map[string][]string{"h": {"upgrade a:amd64 1>2", "install postfix:amd64 >3"}},
		},
		"the highest version of the snapshot": {
			hosts:    []HostPackages{host("h", "a", "1")},
			snapshot: []deb.IndexEntry{entry("a", "2"), entry("a", "10"), entry("a", "9")},
			want:     map[string][]string{"h": {"upgrade a:amd64 1>10"}},
		},
		"another architecture is another package": {
			hosts:    []HostPackages{host("h", "a", "1")},
			snapshot: []deb.IndexEntry{entry("a", "2", arch("arm64"))},
			want:     map[string][]string{},
			idle:     []string{"h"},
		},
		"a host already there is left out and reported": {
			hosts:    []HostPackages{host("h2", "a", "1"), host("h1", "a", "2"), host("h3", "b", "1")},
			snapshot: []deb.IndexEntry{entry("a", "2")},
			want:     map[string][]string{"h2": {"upgrade a:amd64 1>2"}},
			idle:     []string{"h1", "h3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := PlanTransactions(c.hosts, c.snapshot)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, brief(p)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.idle, p.Idle); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHostsWithEqualNeedsShareATransaction(t *testing.T) {
	hosts := []HostPackages{host("c", "a", "1", "x", "1"), host("a", "a", "1"), host("b", "a", "1.5")}
	p, err := PlanTransactions(hosts, []deb.IndexEntry{entry("a", "2")})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Transactions) != 2 {
		t.Fatalf("%d transactions, want 2: %v", len(p.Transactions), p.Transactions)
	}
	if d := cmp.Diff([]string{"a", "c"}, p.Transactions[0].Hosts); d != "" {
		t.Error(d)
	}
	want := warrant.Action{Do: "upgrade", Name: "a", Arch: "amd64", From: "1", To: "2", SHA256: "digest of a2", Size: 7, File: "pool/a"}
	if d := cmp.Diff([]warrant.Action{want}, p.Transactions[0].Actions); d != "" {
		t.Error(d)
	}
}

func TestPlanBackOutReversesWhatTheOrderDid(t *testing.T) {
	done := []warrant.Transaction{{Hosts: []string{"h", "moved-on", "retired"}, Actions: []warrant.Action{
		{Do: "upgrade", Name: "curl", Arch: "amd64", From: "1", To: "2"},
		{Do: "install", Name: "libnew", Arch: "amd64", To: "3"},
	}}}
	hosts := []HostPackages{host("h", "curl", "2", "libnew", "3"), host("moved-on", "curl", "4")}
	p, err := PlanBackOut(done, hosts, []deb.IndexEntry{entry("curl", "1"), entry("curl", "0.9")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]string{"h": {"downgrade curl:amd64 2>1", "remove libnew:amd64 3>"}}, brief(p)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"moved-on"}, p.Idle); d != "" {
		t.Error(d)
	}
	if _, err := PlanBackOut(done, hosts, []deb.IndexEntry{entry("curl", "0.9")}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a version the snapshot lacks: %v", err)
	}
}

// inside is what a host has in another root.
func inside(id, root string, packages ...string) HostPackages {
	h := host(id, packages...)
	h.Root = root
	return h
}

func TestOtherRootsAreTransactionsOfTheirOwn(t *testing.T) {
	hosts := []HostPackages{host("a", "x", "2"), inside("a", "/srv/c", "x", "1"), host("b", "x", "1"), inside("b", "/srv/c", "x", "1"),
		inside("b", "/image", "x", "1"), host("c", "x", "2"), inside("c", "/srv/c", "x", "2")}
	p, err := PlanTransactions(hosts, []deb.IndexEntry{entry("x", "2")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.Transactions {
		got = append(got, x.Root+" "+strings.Join(x.Hosts, ","))
	}
	if d := cmp.Diff([]string{" b", "/image b", "/srv/c a,b"}, got); d != "" {
		t.Errorf("the hosts' own roots come first: %s", d)
	}
	if d := cmp.Diff([]string{"c"}, p.Idle); d != "" {
		t.Errorf("a host is idle that needs nothing in any root: %s", d)
	}
	if d := cmp.Diff([]string{"b", "a"}, HostsOf(warrant.Order{Transactions: p.Transactions})); d != "" {
		t.Error(d)
	}
	after := []HostPackages{host("a", "x", "2"), inside("a", "/srv/c", "x", "2"), host("b", "x", "2"), inside("b", "/srv/c", "x", "1"), inside("b", "/image", "x", "2")}
	back, err := PlanBackOut(p.Transactions, after, []deb.IndexEntry{entry("x", "1")})
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, x := range back.Transactions {
		got = append(got, x.Root+" "+strings.Join(x.Hosts, ",")+" "+x.Actions[0].Do)
	}
	if d := cmp.Diff([]string{" b downgrade", "/image b downgrade", "/srv/c a downgrade"}, got); d != "" || len(back.Idle) > 0 {
		t.Errorf("a back-out goes where its order went: %s, idle %v", d, back.Idle)
	}
}
