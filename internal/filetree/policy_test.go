package filetree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParsePolicy(t *testing.T) {
	good := `{"version":1,"excluded":["/srv/cache"],"volatile":["/opt/app/log/**"],"secret":["/opt/app/*.key"]}`
	p, err := ParsePolicy([]byte(good))
	if err != nil || len(p.Excluded) != 1 || len(p.Secret) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, bad := range []string{``, `{}`, `{"version":2}`, `{"version":1,"hidden":["/x"]}`, `{"version":1,"secret":["x"]}`, `{"version":1,"secret":["/"]}`,
		`{"version":1,"secret":["/a/../b"]}`, `{"version":1,"secret":["/a/**/b"]}`, `{"version":1,"secret":["/a["]}`, good + good,
		`{"version":1,"secret":["/` + strings.Repeat(`x","/`, maxPolicyPaths) + `y"]}`} {
		if _, err := ParsePolicy([]byte(bad)); err == nil {
			t.Errorf("%.60s: taken", bad)
		}
	}
	b := ShippedPolicy()
	if b.Version != PolicyVersion {
		t.Error("the shipped policy has another version than the one that is read")
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"version":1,"excluded":["/a/**"],"secret":["/a/[b-d]*"]}`), "/a/b/c")
	f.Fuzz(func(t *testing.T, b []byte, at string) {
		if p, err := ParsePolicy(b); err == nil {
			p.IsSecret(at)
		}
	})
}

func TestPolicySteps(t *testing.T) {
	p := Policy{Excluded: []string{"/run", "/a/*/x"}, Volatile: []string{"/var/log/**", "/a/b/s"}, Secret: []string{"/var/log/key", "/a/b/s*", `/q\*`}}
	for at, want := range map[string]class{"run": excluded, "run2": plainly, "keep/run": plainly, "a/b/x": excluded, "a/x": plainly, "var/log": plainly,
		"var/log/a": volatileFile, "var/log/a/b/c": volatileFile, "var/log/key": volatileFile, "a/b/s": volatileFile, "a/b/s2": secret, "q*": secret, "qq": plainly} {
		here, got := p.compile(), plainly
		for part := range strings.SplitSeq(at, "/") {
			got, here = here.step(part)
		}
		if got != want || p.IsSecret("/"+at) != (want == secret || at == "var/log/key" || at == "a/b/s") {
			t.Errorf("/%s: class %d, want %d; secret %v", at, got, want, p.IsSecret("/"+at))
		}
	}
}

// Reconciliation compares what packages ship with the plain digest.
func TestShippedPolicyKeepsPackagesOpen(t *testing.T) {
	lists, _ := filepath.Glob("/var/lib/dpkg/info/*.list")
	if len(lists) == 0 {
		t.Skip("no dpkg database here")
	}
	p := ShippedPolicy()
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			at := strings.TrimSuffix(line, "\n")
			if info, err := os.Lstat(at); err == nil && info.Mode().IsRegular() && p.IsSecret(at) {
				t.Errorf("%s is secret, but %s names it", at, list)
			}
		}
	}
}

func TestSecretAndVolatileFiles(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"etc/shadow": "root:1234", "etc/plain": "root:1234", "log/app/now": "line", "etc/other": "x"})
	now := time.Now().Add(time.Minute)
	o := Options{Start: now, Key: []byte("host one"), Policy: Policy{Secret: []string{"/etc/shadow"}, Volatile: []string{"/log/**"}}}
	first := scan(t, root, o, nil)
	one := list(t, first)
	shadow, plain := one["/etc/shadow"], one["/etc/plain"]
	if shadow.Note != Secret || shadow.SHA256 == "" || shadow.SHA256 == plain.SHA256 || shadow.Size != plain.Size {
		t.Errorf("secret: %+v, plain: %+v", shadow, plain)
	}
	if e := one["/log/app/now"]; e.Note != Volatile || e.SHA256 != "" || e.Size != 0 || e.Mode != 0o644 {
		t.Errorf("volatile: %+v", e)
	}
	again := scan(t, root, o, first)
	if again.Digest != first.Digest || again.Stats.Hashed != 0 {
		t.Errorf("rescan: digest differs, or %d bytes were read", again.Stats.Hashed)
	}
	build(t, root, map[string]string{"log/app/now": "another line", "etc/other": "x"})
	if s := scan(t, root, o, again); s.Digest != first.Digest {
		t.Error("what a volatile file holds shows in the tree")
	}
	build(t, root, map[string]string{"etc/shadow": "root:12345"})
	if got := list(t, scan(t, root, o, again))["/etc/shadow"]; got.SHA256 == shadow.SHA256 {
		t.Error("a secret file changed, its digest did not")
	}
	build(t, root, map[string]string{"etc/shadow": "root:1234"})
	if got := list(t, scan(t, root, o, again))["/etc/shadow"]; got.SHA256 != shadow.SHA256 {
		t.Error("equal content has another digest on the same host")
	}
	other := o
	other.Key = []byte("host two")
	if got := list(t, scan(t, root, other, first))["/etc/shadow"]; got.SHA256 == shadow.SHA256 {
		t.Error("two hosts give a secret file the same digest")
	}
	open := o
	open.Policy.Secret = nil
	if got := list(t, scan(t, root, open, first))["/etc/shadow"]; got.SHA256 != plain.SHA256 || got.Note != "" {
		t.Errorf("a keyed digest lived on under another policy: %+v", got)
	}
	o.Key = nil
	if _, err := Scan(t.Context(), root, o, nil); err == nil {
		t.Error("secret files without a key")
	}
}
