package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func sum(s string) string { return envelope.Digest([]byte(s)) }

// ssl is a package with a library, whose content is the package's version, and a configuration file.
func ssl(version string) deb.IndexEntry {
	return entry("ssl", version, func(e *deb.IndexEntry) { e.SHA256 = sum("deb " + version) })
}

// listOf gives the content list of ssl in some version.
func listOf(digest string) (explain.Contents, error) {
	for _, v := range []string{"1", "2", "3"} {
		if digest == sum("deb "+v) {
			return explain.Contents{SHA256: digest, Name: "ssl", Version: v, Conffiles: []string{"/etc/ssl"}, Files: []explain.Shipped{
				{Path: "/usr/lib/ssl.so", Type: "f", Size: 1, SHA256: sum(v)}, {Path: "/usr/lib/a b", Type: "f", Size: 1, SHA256: sum(v)},
				{Path: "/etc/ssl", Type: "f", Size: 1, SHA256: sum(v)}}}, nil
		}
	}
	return explain.Contents{}, fault.New(fault.NotFound, "no such package")
}

func copied(id, root string, files ...wire.Lagging) HostPackages {
	return HostPackages{ID: id, Root: root, Arch: "amd64", Packages: pkgset.Set{}, Copies: files}
}

func level(path, has string) wire.Lagging {
	return wire.Lagging{Path: path, Package: "ssl", Has: sum(has)}
}

func behind(path, has, host string) wire.Lagging {
	return wire.Lagging{Path: path, Package: "ssl", Has: sum(has), Host: sum(host)}
}

// told gives the copies of each host's roots as "path from>to of version".
func told(p Plan) map[string]string {
	m := map[string]string{}
	for _, t := range p.Transactions {
		for _, c := range t.Copies {
			for _, h := range t.Hosts {
				m[strings.TrimSpace(h+" "+t.Root)] += c.Path + " of " + c.Package + " " + c.Version + ";"
			}
		}
	}
	return m
}

func TestCopiesFollowTheHostsPackages(t *testing.T) {
	snapshot := []deb.IndexEntry{ssl("2")}
	for name, c := range map[string]struct {
		hosts []HostPackages
		want  map[string]string
	}{
		"the order upgrades the package": {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", level("/lib/ssl.so", "1"))},
			map[string]string{"h /c": "/lib/ssl.so of ssl 2;"}},
		"it was upgraded before": {[]HostPackages{host("h", "ssl", "2"), copied("h", "/c", behind("/usr/lib/ssl.so", "1", "2"))},
			map[string]string{"h /c": "/usr/lib/ssl.so of ssl 2;"}},
		"two roots": {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", level("/usr/lib/ssl.so", "1")), copied("h", "/d", level("/usr/lib/ssl.so", "1"))},
			map[string]string{"h /c": "/usr/lib/ssl.so of ssl 2;", "h /d": "/usr/lib/ssl.so of ssl 2;"}},
		"a copy that lags by two, told twice": {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", behind("/usr/lib/ssl.so", "0", "1"), behind("/usr/lib/ssl.so", "0", "1"))},
			map[string]string{"h /c": "/usr/lib/ssl.so of ssl 2;"}},
		"level with it":                               {[]HostPackages{host("h", "ssl", "2"), copied("h", "/c", level("/usr/lib/ssl.so", "2"))}, map[string]string{}},
		"a version of no snapshot":                    {[]HostPackages{host("h", "ssl", "3"), copied("h", "/c", behind("/usr/lib/ssl.so", "1", "3"))}, map[string]string{}},
		"the host's own is not as its package has it": {[]HostPackages{host("h", "ssl", "2"), copied("h", "/c", behind("/usr/lib/ssl.so", "1", "evil"))}, map[string]string{}},
		"no file of the package":                      {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", level("/usr/lib/other.so", "1"))}, map[string]string{}},
		"a configuration file":                        {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", level("/etc/ssl", "1"))}, map[string]string{}},
		"a name that no order takes":                  {[]HostPackages{host("h", "ssl", "1"), copied("h", "/c", level("/usr/lib/a b", "1"))}, map[string]string{}},
		"a file with attributes": {[]HostPackages{host("h", "ssl", "2"), copied("h", "/c", wire.Lagging{Path: "/usr/lib/ssl.so", Package: "ssl", Has: sum("1"), Host: sum("2"), Attributes: true})},
			map[string]string{}},
		"no package of the host": {[]HostPackages{host("h", "vim", "1"), copied("h", "/c", level("/usr/lib/ssl.so", "1"))}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := PlanTransactions(c.hosts, snapshot)
			if err != nil {
				t.Fatal(err)
			}
			if p, err = p.Follow(c.hosts, snapshot, listOf, nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, told(p)); d != "" {
				t.Error(d)
			}
			for _, x := range p.Transactions {
				for _, y := range x.Copies {
					if y.To != sum("2") || y.Size != 1 || y.Deb != sum("deb 2") || x.Actions == nil || x.Root == "" {
						t.Errorf("%+v", x)
					}
				}
			}
		})
	}
}

// Hosts with the same copies share a transaction; one that needs nothing else is not idle; / comes first.
func TestHostsWithEqualCopiesShareATransaction(t *testing.T) {
	snapshot := []deb.IndexEntry{ssl("2")}
	hosts := []HostPackages{host("a", "ssl", "1"), copied("a", "/c", level("/usr/lib/ssl.so", "1")), host("b", "ssl", "2"), copied("b", "/c", behind("/usr/lib/ssl.so", "1", "2")),
		host("c", "ssl", "2"), copied("c", "/c", level("/usr/lib/ssl.so", "2"))}
	p, err := PlanTransactions(hosts, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Follow(hosts, snapshot, listOf, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.Transactions {
		got = append(got, x.Root+" "+strings.Join(x.Hosts, ","))
	}
	if d := cmp.Diff([]string{" a", "/c a,b"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"c"}, p.Idle); d != "" {
		t.Error(d)
	}
	var many []HostPackages
	for i := range maxCopies + 1 {
		id := fmt.Sprint("h", i)
		many = append(many, host(id, "ssl", "2"), copied(id, "/c", behind("/usr/lib/ssl.so", fmt.Sprint("old ", i), "2")))
	}
	if _, err := (Plan{}).Follow(many, snapshot, listOf, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("more copies than an order takes: %v", err)
	}
	if _, err := (Plan{}).Follow(hosts, []deb.IndexEntry{entry("ssl", "2")}, listOf, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a package without its bytes: %v", err)
	}
}

// A back-out takes copies back with their package, and only those that the order renewed.
func TestABackOutTakesItsCopiesBack(t *testing.T) {
	older := []deb.IndexEntry{ssl("1")}
	done := []warrant.Transaction{{Hosts: []string{"h"}, Actions: []warrant.Action{{Do: "upgrade", Name: "ssl", Arch: "amd64", From: "1", To: "2"}}},
		{Hosts: []string{"h"}, Root: "/c", Copies: []warrant.Copy{{Path: "/usr/lib/ssl.so", From: sum("1"), To: sum("2")}}}}
	hosts := []HostPackages{host("h", "ssl", "2"), copied("h", "/c", level("/usr/lib/ssl.so", "2"), level("/lib/ssl.so", "2")), copied("h", "/d", level("/usr/lib/ssl.so", "2"))}
	p, err := PlanBackOut(done, hosts, older)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Follow(hosts, older, listOf, done); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"h /c": "/usr/lib/ssl.so of ssl 1;"}, told(p)); d != "" {
		t.Error(d)
	}
}
