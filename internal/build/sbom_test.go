package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

const image = `{"bomFormat":"CycloneDX","components":[
{"type":"library","name":"libssl3","purl":"pkg:deb/debian/libssl3@3.0.1-1?arch=amd64&distro=debian-12&upstream=openssl"},
{"type":"library","name":"openssl","purl":"pkg:deb/debian/openssl@3.0.1-1?arch=amd64&distro=debian-12"},
{"type":"library","name":"openssl","purl":"pkg:deb/debian/openssl@3.0.1-1?arch=amd64&distro=debian-12"},
{"type":"library","name":"a","purl":"pkg:npm/a@1"},{"type":"library","name":"b","purl":"pkg:npm/b@1"},{"type":"library","name":"plain"},
{"type":"library","name":"xx","purl":"pkg:deb/debian/xx@not a version?distro=debian-12"},{"type":"library","name":"yy","purl":"pkg:deb/debian/yy@1-1"}]}`

// TestAComponentListIsABuild: its packages are judged as a host's; what no verdict is about is counted with the reason, and so is what
// nobody knows.
func TestAComponentListIsABuild(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.state("CVE-2026-0001")
	known := &intake.Knowledge{Statements: append([]intake.Statement{{Source: "debian-tracker", Package: "openssl", Release: "bookworm", ID: "CVE-2026-0007",
		Status: intake.Undetermined, Note: "nobody looked"}}, w.known.Statements...)}
	slices.SortStableFunc(known.Statements, intake.Compare)
	w.known = known
	x, err := w.Register(t.Context(), "carol", New{Name: "image", Days: 14, SBOM: []byte(image)})
	if err != nil || x.Release != "bookworm" || !strings.HasPrefix(x.From, "sbom/") || len(x.Findings) != 1 || x.Findings[0].Vulnerability != "CVE-2026-0001/openssl" {
		t.Fatalf("%+v, %v", x, err)
	}
	if len(x.Undetermined) != 1 || x.Undetermined[0].Vulnerability != "CVE-2026-0007/openssl" || x.Undetermined[0].Doubt == "" || x.Overdue(w.now.AddDate(1, 0, 0)) != 1 {
		t.Errorf("undetermined: %+v", x.Undetermined)
	}
	all, err := w.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []Build{x, all[0]} {
		want := []Unjudged{{"npm", "no source states anything about packages of this kind", 2}, {"", "has no package URL that can be read", 1},
			{"deb", "its name or version is none of its kind", 1}, {"deb", "its release is not named, or not known", 1}}
		if !slices.Equal(x.Unjudged, want) || x.NotJudged() != 5 {
			t.Errorf("not judged: %+v", x.Unjudged)
		}
	}
	set, err := w.PackageSet(t.Context(), x.PackageSet)
	if err != nil || len(set) != 2 || set[0].Source != "openssl" || set[1].SourceVersion != "3.0.1-1" {
		t.Errorf("%+v, %v", set, err)
	}
	if x, err = w.Register(t.Context(), "carol", New{Name: "image", Days: 14, Release: "bookworm", SBOM: []byte(image), From: x.RegisteredAt}); err != nil || x.NotJudged() != 4 {
		t.Errorf("with a release: %+v, %v", x.Unjudged, err)
	}
}

// TestAReleaseThatNobodySpeaksOf leaves a build undetermined, and the first statement about it ends that.
func TestAReleaseThatNobodySpeaksOf(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	x, err := w.Register(t.Context(), "carol", New{Name: "image", Days: 14, SBOM: []byte(image)})
	if err != nil || len(x.Findings) != 0 || len(x.Undetermined) != 1 || x.Undetermined[0].Doubt != "no source states anything about bookworm" {
		t.Fatalf("%+v, %v", x, err)
	}
	w.state("CVE-2026-0001")
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x, err = w.Get(t.Context(), "image"); err != nil || len(x.Findings) != 1 || len(x.Undetermined) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestRPMComponents: epochs and modules are the database's; what a list does not name is not guessed.
func TestRPMComponents(t *testing.T) {
	list, err := readSBOM([]byte(`{"bomFormat":"CycloneDX","components":[
{"name":"openssl-libs","purl":"pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?arch=x86_64&distro=rhel-9.2&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm"},
{"name":"nodejs","purl":"pkg:rpm/redhat/nodejs@20.1-2.module%2Bel9?distro=rhel-9.2&upstream=nodejs-20.1-2.module%2Bel9.src.rpm"},
{"name":"gpg-pubkey","purl":"pkg:rpm/redhat/gpg-pubkey@1-2?distro=rhel-9.2"},{"name":"z","purl":"pkg:rpm/redhat/z@1-2?distro=rhel-9.2"}]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	set := list.set()
	if len(set) != 1 || set[0].Version != "1:3.0.7-24.el9" || set[0].SourceVersion != "3.0.7-24.el9" || set[0].RPM == nil || list.release != "rhel-9" {
		t.Errorf("%+v of %s", set, list.release)
	}
	if got, want := fmt.Sprint(list.unjudged()), "[{rpm is no package 1} {rpm it is of a module that is not named 1} {rpm its source package is not named 1}]"; got != want {
		t.Errorf("not judged %s, want %s", got, want)
	}
}

// TestComponentListsThatSayNothing: what would look clean because nothing is known of it is refused.
func TestComponentListsThatSayNothing(t *testing.T) {
	component := func(purls ...string) []byte {
		text := `{"bomFormat":"CycloneDX","components":[`
		for i, p := range purls {
			if i > 0 {
				text += ","
			}
			text += `{"name":"c","purl":"` + p + `"}`
		}
		return []byte(text + "]}")
	}
	w := newWorld(t, dbtest.Open(t))
	for what, text := range map[string][]byte{"nothing": component(), "no distribution": component("pkg:npm/a@1"), "no release": component("pkg:deb/debian/libssl3@1-1?upstream=openssl"),
		"two releases":       component("pkg:deb/debian/libssl3@1-1?distro=debian-12&upstream=openssl", "pkg:rpm/redhat/a@1-1?distro=rhel-9&upstream=b-1-1.src.rpm"),
		"no source packages": component("pkg:deb/debian/libssl3@1-1?distro=debian-12"), "no list": []byte("x"), "empty": {}} {
		if _, err := w.Register(t.Context(), "carol", New{Name: "x", Days: 1, SBOM: text}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.Register(t.Context(), "carol", New{Name: "x", Days: 1, Release: "../x", SBOM: []byte(image)}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a release that is none: %v", err)
	}
	if len(w.acts) != 0 {
		t.Errorf("acts %v", w.acts)
	}
}

// TestARealComponentList is Trivy's of an image of Ubuntu.
func TestARealComponentList(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	text, err := os.ReadFile(filepath.Join(dir, "cyclonedx", "issue_9277.json"))
	if err != nil {
		t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
	}
	list, err := readSBOM(text, "")
	if err != nil {
		t.Fatal(err)
	}
	set := list.set()
	p, _ := set.Find("passwd", "amd64")
	t.Logf("%d packages of %s, not judged %v", len(set), list.release, list.unjudged())
	if len(set) < 90 || list.release != "jammy" || p.Source != "shadow" || p.SourceVersion != p.Version {
		t.Errorf("%d packages of %s, passwd %+v, not judged %v", len(set), list.release, p, list.unjudged())
	}
}
