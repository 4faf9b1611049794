package orderview

import (
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func sample(t *testing.T, edit func(*warrant.Order)) []byte {
	t.Helper()
	w := warranttest.New(t)
	o := w.Order(w.Record([]byte("index"), warranttest.Package("hello", "2.0", []byte("deb")), warranttest.Package("zlib", "1:3", []byte("z"))))
	o.Stage = &warrant.StageRef{Order: "ord_0", Manifest: strings.Repeat("ab", 32)}
	o.Notices = []warrant.Notice{{At: warranttest.Now.Add(-time.Hour), Audience: "all owners"}}
	edit(&o)
	payload, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func render(t *testing.T, payload []byte) string {
	t.Helper()
	text, err := Render(payload, time.FixedZone("", 2*3600))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whatever was signed is shown: each change of the order changes the text.
func TestRenderShowsEveryField(t *testing.T) {
	payload := sample(t, func(*warrant.Order) {})
	o, err := warrant.DecodeOrder(payload)
	if err != nil {
		t.Fatal(err)
	}
	text := render(t, payload)
	a := o.Transactions[0].Actions[1]
	for _, want := range []string{
		o.ID, o.Class, o.Environment, o.Author, o.TrustRoot.SHA256, o.Reason, o.Plan, o.BackOut, o.Vulnerabilities[0], "hst_1",
		o.Snapshot.SHA256, o.Snapshot.Index, o.Snapshot.Curation, "ord_0", o.Stage.Manifest, "all owners",
		"window opens   Sat 2026-11-21 11:30:00 UTC  (local Sat 2026-11-21 13:30:00 +0200)", "window closes  Sat 2026-11-21 12:30:00 UTC",
		"hello amd64  1.0 -> 2.0", "zlib amd64  1.0 -> 1:3", a.SHA256, a.File, "2 packages on 1 host\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for name, edit := range map[string]func(*warrant.Order){
		"id":            func(o *warrant.Order) { o.ID = "ord_2" },
		"class":         func(o *warrant.Order) { o.Class = "emergency" },
		"environment":   func(o *warrant.Order) { o.Environment = "lab" },
		"sequence":      func(o *warrant.Order) { o.Sequence++ },
		"author":        func(o *warrant.Order) { o.Author = "alice" },
		"trust root":    func(o *warrant.Order) { o.TrustRoot.Version++ },
		"made":          func(o *warrant.Order) { o.MadeAt = o.MadeAt.Add(time.Second) },
		"expires":       func(o *warrant.Order) { o.ExpiresAt = o.ExpiresAt.Add(time.Second) },
		"opens":         func(o *warrant.Order) { o.Window.OpensAt = o.Window.OpensAt.Add(time.Second) },
		"closes":        func(o *warrant.Order) { o.Window.ClosesAt = o.Window.ClosesAt.Add(time.Second) },
		"reason":        func(o *warrant.Order) { o.Reason += "." },
		"plan":          func(o *warrant.Order) { o.Plan += "." },
		"place":         func(o *warrant.Order) { o.Places = append(o.Places, trustroot.Place{Platform: "debian"}) },
		"unit":          func(o *warrant.Order) { o.Places = []trustroot.Place{{Unit: "cards"}} },
		"zone":          func(o *warrant.Order) { o.Places = []trustroot.Place{{Zone: "dmz"}} },
		"back-out":      func(o *warrant.Order) { o.BackOut += "." },
		"vulnerability": func(o *warrant.Order) { o.Vulnerabilities = append(o.Vulnerabilities, "CVE-2026-0002/hello") },
		"no stage":      func(o *warrant.Order) { o.Stage = nil },
		"notice":        func(o *warrant.Order) { o.Notices[0].At = o.Notices[0].At.Add(time.Second) },
		"host":          func(o *warrant.Order) { o.Transactions[0].Hosts = append(o.Transactions[0].Hosts, "hst_2") },
		"root":          func(o *warrant.Order) { o.Transactions[0].Root = "/srv/chroot" },
		"another root": func(o *warrant.Order) {
			o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_1"}, Root: "/srv/chroot", Actions: o.Transactions[0].Actions})
		},
		"copy": func(o *warrant.Order) { withCopy(o) },
		"from": func(o *warrant.Order) { o.Transactions[0].Actions[0].From = "1.1" },
		"size": func(o *warrant.Order) { o.Transactions[0].Actions[0].Size++ },
	} {
		changed := render(t, sample(t, edit))
		// The world's keys differ from sample to sample, so compare without digests that follow from them.
		if got := withoutDigests(changed); got == withoutDigests(text) {
			t.Errorf("%s: the text does not change", name)
		}
	}
}

func withoutDigests(text string) string {
	var kept []string
	for _, word := range strings.Split(text, " ") {
		if !strings.Contains(word, "sha256:") {
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " ")
}

// A transaction in another root says so where its hosts stand; one in the hosts' own root is shown as ever.
func TestRenderNamesTheRoot(t *testing.T) {
	const line = "  in root      /srv/chroot  (not in the host's own)\n"
	text := render(t, sample(t, func(o *warrant.Order) {
		o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_1"}, Root: "/srv/chroot", Actions: o.Transactions[0].Actions[:1]})
	}))
	if _, second, ok := strings.Cut(text, "\nTRANSACTION 2 of 2: 1 package on 1 host\n"); !ok || !strings.HasPrefix(second, line) || strings.Count(text, line) != 1 {
		t.Errorf("the root is not shown once, in the second transaction:\n%s", text)
	}
}

// withCopy makes the order renew a copied file in another root.
func withCopy(o *warrant.Order) *warrant.Copy {
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	o.Transactions = append(o.Transactions, warrant.Transaction{Hosts: []string{"hst_1"}, Root: "/srv/chroot", Actions: []warrant.Action{},
		Copies: []warrant.Copy{{Path: "/usr/lib/hello.so", From: d("old"), To: d("new"), Size: 4711, Package: "hello", Version: "2.0", Deb: d("deb")}}})
	return &o.Transactions[1].Copies[0]
}

// Of a copied file everything is shown, and each change of it changes the text.
func TestRenderShowsCopies(t *testing.T) {
	plain := render(t, sample(t, func(o *warrant.Order) { withCopy(o) }))
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	for _, want := range []string{"TRANSACTION 2 of 2: 0 packages and 1 copied file on 1 host\n  in root      /srv/chroot ", "  copy         /usr/lib/hello.so  as in hello 2.0\n",
		"now sha256:" + d("old") + "\n", "new sha256:" + d("new") + "  4711 bytes, from package sha256:" + d("deb") + "\n"} {
		if !strings.Contains(plain, want) {
			t.Errorf("the text lacks %q:\n%s", want, plain)
		}
	}
	_, copies, _ := strings.Cut(plain, "TRANSACTION 2")
	for name, edit := range map[string]func(c *warrant.Copy){
		"path":    func(c *warrant.Copy) { c.Path = "/usr/lib/other.so" },
		"from":    func(c *warrant.Copy) { c.From = d("x") },
		"to":      func(c *warrant.Copy) { c.To = d("x") },
		"size":    func(c *warrant.Copy) { c.Size++ },
		"package": func(c *warrant.Copy) { c.Package = "other" },
		"version": func(c *warrant.Copy) { c.Version = "2.1" },
		"deb":     func(c *warrant.Copy) { c.Deb = d("x") },
	} {
		_, changed, _ := strings.Cut(render(t, sample(t, func(o *warrant.Order) { edit(withCopy(o)) })), "TRANSACTION 2")
		if changed == copies {
			t.Errorf("%s: the text does not change", name)
		}
	}
}

// A text of the order cannot draw lines of its own, act on the terminal, or hide.
func TestRenderEscapesTexts(t *testing.T) {
	text := render(t, sample(t, func(o *warrant.Order) {
		o.Reason = "fine\nwindow closes  never\x1b[2J\r\u202eevil\u200b \\n é"
	}))
	want := `reason         fine\nwindow closes  never\x1b[2J\r\u202eevil\u200b \\n é` + "\n"
	if !strings.Contains(text, want) {
		t.Errorf("the text lacks %q:\n%s", want, text)
	}
}

func TestRenderRefusesWhatIsNoOrder(t *testing.T) {
	if _, err := Render([]byte(`{}`), time.UTC); err == nil {
		t.Error("rendered")
	}
}
