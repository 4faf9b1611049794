package drift

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func set(packages ...string) (s pkgset.Set) {
	for i := 0; i < len(packages); i += 2 {
		s = append(s, pkgset.Package{Name: packages[i], Arch: "amd64", Version: packages[i+1]})
	}
	return s
}

func TestPackagesThatDiffer(t *testing.T) {
	same, all, got := Packages(set("a", "1", "b", "1", "kernel", "6.1", "kernel", "6.2"), set("a", "1", "c", "1", "kernel", "6.1"))
	want := []Difference{{"package", "b:amd64", "1", ""}, {"package", "c:amd64", "", "1"}, {"package", "kernel:amd64", "6.1 6.2", "6.1"}}
	if diff := cmp.Diff(want, got); diff != "" || same != 1 || all != 4 {
		t.Errorf("%d of %d\n%s", same, all, diff)
	}
	if same, all, got := Packages(set("a", "1"), set("a", "1")); same != 1 || all != 1 || len(got) != 0 {
		t.Error("a set differs from itself")
	}
}

func TestConfigurationThatDiffers(t *testing.T) {
	debian := wire.Source{File: "a.list", Types: []string{"deb"}, URIs: []string{"http://deb.debian.org"}, Suites: []string{"bookworm"}, SignedBy: "/k"}
	moved, trusted := debian, debian
	moved.File = "b.sources"
	trusted.Options = []string{"trusted=yes"}
	if got := Configuration(wire.Inventory{Sources: []wire.Source{debian}}, wire.Inventory{Sources: []wire.Source{moved}}); len(got) != 0 {
		t.Errorf("another file: %v", got)
	}
	got := Configuration(wire.Inventory{Sources: []wire.Source{debian}, Keys: []wire.Key{{Fingerprint: "ab"}}},
		wire.Inventory{Sources: []wire.Source{trusted}, Pins: []wire.Pin{{Packages: "*", Pin: "release a=x", Priority: 900}}, Loose: []wire.Setting{{Name: "AllowUnauth", Value: "true"}}})
	want := []Difference{{"key", "ab", "trusted", ""}, {"pin", "* release a=x", "", "900"}, {"setting", "AllowUnauth", "", "true"},
		{"source", "deb http://deb.debian.org bookworm ", "signed by /k", "signed by /k trusted=yes"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// hosts imitates an estate: hosts by name, their sets by digest.
type hosts struct {
	env    map[string]string
	digest map[string]string
	sets   map[string]pkgset.Set
	kin    []estate.Kin
	reads  int
	at     int64 // raised by a change
}

func (e *hosts) Host(_ context.Context, id string) (estate.Host, error) {
	return estate.Host{ID: id, Name: id, Environment: e.env[id], PackageSet: e.digest[id]}, nil
}
func (e *hosts) HostSets(_ context.Context, since int64) (all []estate.HostSet, upTo int64, _ error) {
	if since > e.at {
		return nil, since, nil
	}
	for id := range e.env {
		all = append(all, estate.HostSet{HostID: id, Release: "bookworm", Environment: e.env[id], SetDigest: e.digest[id]})
	}
	return append(all, estate.HostSet{HostID: "p1", Root: "/srv/x", Release: "bookworm", Environment: "production", SetDigest: "far"}), e.at + 1, nil
}
func (e *hosts) KinOf(context.Context, string) ([]estate.Kin, error) { return e.kin, nil }
func (e *hosts) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	e.reads++
	return e.sets[digest], nil
}
func (e *hosts) Inventory(context.Context, estate.Host, string) (wire.Inventory, error) {
	return wire.Inventory{}, nil
}

func world() *hosts {
	e := &hosts{env: map[string]string{"s1": "stage", "s2": "stage"}, digest: map[string]string{"s1": "near", "s2": "far"}, kin: []estate.Kin{{ID: "s1", Name: "s1"}, {ID: "s2", Name: "s2"}},
		sets: map[string]pkgset.Set{"near": set("a", "1", "b", "1", "c", "1", "d", "2"), "far": set("x", "1"), "prod": set("a", "1", "b", "1", "c", "1", "d", "1"), "other": set("x", "1", "y", "1")}}
	for i := range 5 {
		id := fmt.Sprintf("p%d", i)
		e.env[id], e.digest[id] = "production", "prod"
	}
	e.digest["p4"] = "other"
	return e
}

func TestTheNearestTwinIsTaken(t *testing.T) {
	d := New(world())
	got, err := d.Of(t.Context(), "p0")
	want := Drift{Host: "p0", Twin: "s1", TwinName: "s1", Percent: 75, Same: 3, Packages: 4, Differences: []Difference{{"package", "d:amd64", "2", "1"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := d.Of(t.Context(), "s1"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("of a stage host: %v", err)
	}
	e := world()
	e.kin = nil
	if got, err := New(e).Of(t.Context(), "p0"); err != nil || got.Twin != "" || got.Percent != 0 {
		t.Errorf("without a stage host: %+v, %v", got, err)
	}
}

// TestTheFleetIsComparedByItsSets: each pair of sets once, however many hosts have them.
func TestTheFleetIsComparedByItsSets(t *testing.T) {
	e := world()
	d := New(e)
	for range 2 {
		got, err := d.Fleet(t.Context())
		want := []Kind{{"bookworm", 1, "p4", 50}, {"bookworm", 4, "p0", 75}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if e.reads != 4 {
		t.Errorf("%d sets read, want each once", e.reads)
	}
}
