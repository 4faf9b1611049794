package agentapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// configure changes the local configuration, as the host's administrator does.
func (m *machine) configure(change func(map[string]any)) {
	m.t.Helper()
	file := filepath.Join(m.places.Etc, "agent.json")
	b, err := os.ReadFile(file)
	check(m.t, err)
	var config map[string]any
	check(m.t, json.Unmarshal(b, &config))
	change(config)
	b, err = json.Marshal(config)
	check(m.t, err)
	check(m.t, os.WriteFile(file, b, 0o644))
}

// chroot puts a chroot on the machine: packages of its own, and a library copied from the host's package.
func (m *machine) chroot() {
	m.t.Helper()
	m.write("srv/chroot/var/lib/dpkg/status", strings.Replace(status, "VERSION", "3.0.9-1", 1))
	m.write("srv/chroot/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
	m.write("srv/chroot/usr/lib/libssl.so.3", "old library")
	m.write("var/lib/dpkg/info/libssl3:amd64.list", "/.\n/usr\n/usr/lib\n/usr/lib/libssl.so.3\n")
	m.configure(func(c map[string]any) { c["roots"] = []string{"/", "/srv/chroot"}; c["scan_hours"] = 1 })
}

func TestAChrootIsReportedAndItsOldCopiesShow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.chroot()
	check(t, w.once())
	h := w.host()
	root := h.Roots["/srv/chroot"]
	if root.Release != "bookworm" || root.PackageSet == h.PackageSet || root.Lagging != 0 || root.Copies != 1 || h.Trees["/srv/chroot"] == "" {
		t.Fatalf("the chroot is %+v", root)
	}
	set, err := w.estate.PackageSet(t.Context(), root.PackageSet)
	check(t, err)
	if p, _ := set.Find("libssl3", "amd64"); p.Version != "3.0.9-1" {
		t.Errorf("its libssl3 is %+v", p)
	}
	sets, _, err := w.estate.HostSets(t.Context(), 0)
	check(t, err)
	if len(sets) != 2 || sets[1].Root != "/srv/chroot" || sets[1].SetDigest != root.PackageSet || sets[1].KernelRunning != "" {
		t.Errorf("what is matched: %+v", sets)
	}

	if root.Changeable {
		t.Error("without a policy of the host's own orders may change it")
	}
	check(t, os.WriteFile(filepath.Join(w.machine.places.Etc, "executor.json"), []byte(`{"roots": ["/srv/chroot"]}`), 0o644))
	w.machine.write("usr/lib/libssl.so.3", "new library")
	w.clock.pass(2 * time.Hour)
	check(t, w.once())
	root = w.host().Roots["/srv/chroot"]
	if !root.Changeable {
		t.Error("the server does not know that the host's policy names the root")
	}
	i, err := w.estate.InventoryOf(t.Context(), root.Inventory)
	check(t, err)
	if root.Lagging != 1 || root.Copies != 0 || len(i.Lagging) != 1 || i.Lagging[0].Path != "/usr/lib/libssl.so.3" || i.Lagging[0].Package != "libssl3" {
		t.Errorf("the old copy: %+v", i.Lagging)
	}

	w.machine.write("srv/chroot/usr/lib/libssl.so.3", "new library")
	w.clock.pass(2 * time.Hour)
	check(t, w.once())
	if n := w.host().Roots["/srv/chroot"].Lagging; n != 0 {
		t.Errorf("%d files lag after the copy was renewed", n)
	}

	w.machine.configure(func(c map[string]any) { c["roots"] = []string{"/"} })
	check(t, w.once())
	if got := w.acts(); got != "host.enrolled host.root-reported host.copies-lag host.root-gone" {
		t.Errorf("acts %s", got)
	}
}

// TestABareRootWithCopiesIsTold: a root without a packager counts as one while it has copies of the host's files, of the host's
// release; of others only the tree is told.
func TestABareRootWithCopiesIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.write("var/lib/dpkg/info/libssl3:amd64.list", "/.\n/usr\n/usr/lib\n/usr/lib/libssl.so.3\n/usr/lib/one.so\n")
	w.machine.write("usr/lib/libssl.so.3", "old library")
	w.machine.write("srv/jail/lib/libssl.so.3", "its own")
	w.machine.write("srv/jail/usr/lib/libssl.so.3", "old library")
	w.machine.write("srv/data/file", "data")
	w.machine.write("usr/lib/one.so", "one file with two names")
	check(t, os.Link(filepath.Join(w.machine.places.Root, "usr/lib/one.so"), filepath.Join(w.machine.places.Root, "srv/jail/usr/lib/one.so")))
	w.machine.configure(func(c map[string]any) { c["roots"] = []string{"/", "/srv/jail", "/srv/data"}; c["scan_hours"] = 1 })
	check(t, os.WriteFile(filepath.Join(w.machine.places.Etc, "executor.json"), []byte(`{"roots": ["/srv/jail"]}`), 0o644))
	check(t, w.once())
	h := w.host()
	jail := h.Roots["/srv/jail"]
	if len(h.Roots) != 1 || h.Trees["/srv/data"] == "" || jail.Copies != 1 || jail.Lagging != 0 || !jail.Changeable || jail.Release != h.Release || jail.Arch != h.Arch {
		t.Fatalf("roots %+v of %+v", h.Roots, h)
	}
	set, err := w.estate.PackageSet(t.Context(), jail.PackageSet)
	if check(t, err); len(set) != 0 {
		t.Errorf("it has packages: %+v", set)
	}
	i, err := w.estate.InventoryOf(t.Context(), jail.Inventory)
	if check(t, err); len(i.Copies) != 1 || i.Copies[0].Path != "/usr/lib/libssl.so.3" || i.Copies[0].Package != "libssl3" || i.Copies[0].Host != "" {
		t.Errorf("its copies: %+v", i.Copies)
	}

	w.machine.write("usr/lib/libssl.so.3", "new library")
	w.clock.pass(2 * time.Hour)
	check(t, w.once())
	if jail = w.host().Roots["/srv/jail"]; jail.Copies != 0 || jail.Lagging != 1 {
		t.Errorf("after the host's upgrade: %+v", jail)
	}
	w.machine.write("srv/jail/usr/lib/libssl.so.3", "its own")
	w.clock.pass(2 * time.Hour)
	check(t, w.once())
	if got := w.acts(); len(w.host().Roots) != 0 || got != "host.enrolled host.root-reported host.copies-lag host.root-gone" {
		t.Errorf("roots %+v, acts %s", w.host().Roots, got)
	}
}

// TestABrokenRootDoesNotSilenceTheHost: what was known of it stands, and the host says that it is old.
func TestABrokenRootDoesNotSilenceTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.chroot()
	a := w.agent(slog.New(slog.DiscardHandler))
	_, err := a.Once(t.Context())
	check(t, err)
	known := w.host().Roots["/srv/chroot"]
	w.machine.write("srv/chroot/var/lib/dpkg/status", "rubbish\n")
	_, err = a.Once(t.Context())
	check(t, err)
	h := w.host()
	i, err := w.estate.InventoryOf(t.Context(), h.Inventory)
	check(t, err)
	if h.Roots["/srv/chroot"] != known || !slices.Equal(i.Unread, []string{"/srv/chroot"}) {
		t.Errorf("the root is %+v, before %+v; unread %v", h.Roots["/srv/chroot"], known, i.Unread)
	}
}

// TestLinksInAChrootLeadNowhere: who may write in a chroot does not read the host's files through the agent.
func TestLinksInAChrootLeadNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.chroot()
	w.machine.write("etc/secret", "the host's secret\n")
	for _, path := range []string{"etc/hostname", "etc/apt/sources.list"} {
		full := filepath.Join(w.machine.places.Root, "srv/chroot", path)
		check(t, os.MkdirAll(filepath.Dir(full), 0o755))
		check(t, os.Symlink("../../../etc/secret", full))
	}
	err := w.once()
	check(t, err)
	i, err := w.estate.InventoryOf(t.Context(), w.host().Roots["/srv/chroot"].Inventory)
	check(t, err)
	if i.Hostname != "unnamed" || len(i.Sources) != 1 || !slices.Equal(i.Sources[0].Options, []string{"unreadable"}) {
		t.Errorf("the chroot is called %q and has the sources %+v", i.Hostname, i.Sources)
	}
}

// TestStatesAreKeptWhileNoServerAnswers: what the host was meanwhile is told afterwards, and only then forgotten.
func TestStatesAreKeptWhileNoServerAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	away := true
	w.around = func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if away {
				panic(http.ErrAbortHandler)
			}
			door.ServeHTTP(rw, r)
		})
	}
	for _, version := range []string{"3.0.15-1~deb12u2", "3.0.15-1~deb12u2", "3.0.15-1~deb12u3"} {
		w.machine.write("var/lib/dpkg/status", strings.Replace(status, "VERSION", version, 1))
		if err := w.once(); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("a round without a server: %v", err)
		}
	}
	away = false
	w.machine.write("var/lib/dpkg/status", strings.Replace(status, "VERSION", "3.0.15-1~deb12u4", 1))
	check(t, w.once())
	check(t, w.once())
	if got := w.acts(); got != "host.enrolled host.caught-up" {
		t.Fatalf("acts %s", got)
	}
	acts, err := w.ledger.List(t.Context(), ledger.Filter{Subject: "host/" + w.machine.host, KindPrefix: "host.caught-up", Limit: 10})
	check(t, err)
	var told wire.Spooled
	b, err := blob.ReadAll(t.Context(), w.blobs, acts[0].Act.Facts[0], 1<<20)
	check(t, err)
	check(t, json.Unmarshal(b, &told))
	if len(told.States) != 2 || told.Dropped != 0 {
		t.Fatalf("told: %+v", told)
	}
	for n, version := range []string{"3.0.15-1~deb12u2", "3.0.15-1~deb12u3"} {
		set, err := w.estate.PackageSet(t.Context(), told.States[n].PackageSet)
		check(t, err)
		if p, _ := set.Find("libssl3", "amd64"); p.Version != version {
			t.Errorf("state %d has %s, want %s", n, p.Version, version)
		}
	}
}

// TestAnOrderForARootBringsItsFacts: what the host told of a root that an order changes is that root's own, before and after.
func TestAnOrderForARootBringsItsFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.chroot()
	w.machine.write("srv/chroot/etc/machine-id", "the root's\n")
	w.machine.write("etc/machine-id", "the host's\n")
	w.reach = "/srv/chroot"
	w.start(files)
	w.finish()
	w.carried()
	for _, o := range []wire.Observation{w.rollout.before, w.rollout.after} {
		if len(o.RootFacts) != 1 || o.Trees[w.reach] == "" {
			t.Fatalf("observed: %+v", o)
		}
		for digest, want := range map[string]string{o.Facts: "the host's\n", o.RootFacts[w.reach]: "the root's\n"} {
			b, err := blob.ReadAll(t.Context(), w.estate.Blobs, digest, wire.MaxObject)
			check(t, err)
			var facts wire.HostFacts
			check(t, wire.Decode(bytes.NewReader(b), wire.MaxObject, &facts))
			if f := facts.File("/etc/machine-id"); f == nil || string(f.Content) != want {
				t.Errorf("the machine's ID is told as %+v, want %q", f, want)
			}
		}
	}
}
