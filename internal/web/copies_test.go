package web

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestCopiedFilesAreShown: with the root that has them, and all that people sign of each with the order that renews them.
func TestCopiedFilesAreShown(t *testing.T) {
	w := newWorld(t, "")
	m := w.hosts["stage-1"]
	d := func(s string) string { return envelope.Digest([]byte(s)) }
	i := wire.Inventory{Distribution: "debian", Release: "bookworm", Arch: "amd64", Kernel: wire.Kernel{Installed: []string{}}, Sources: []wire.Source{},
		Changeable: true, Copies: []wire.Lagging{{Path: "/usr/share/openssl", Package: "openssl", Has: d(m.version)}},
		Lagging: []wire.Lagging{{Path: "/usr/bin/ping", Package: "iputils-ping", Has: d("old"), Host: d("new"), Attributes: true}}}
	known, err := w.Estate.Host(t.Context(), m.id)
	w.ok(err)
	m.counter++
	_, need, err := w.Estate.CheckIn(t.Context(), m.id, wire.CheckIn{Counter: m.counter, At: w.now, PackageSet: known.PackageSet, Inventory: known.Inventory,
		Trees: known.Trees, TrustRootVersion: 1, AgentVersion: "1.0", ReportKey: base64.StdEncoding.EncodeToString(m.key.Public().(ed25519.PublicKey)),
		Roots: map[string]wire.Root{"/srv/jail": {PackageSet: w.put(pkgset.Set{}.Canonical()), Inventory: w.put(i)}}})
	w.ok(err)
	if len(need) > 0 {
		t.Fatalf("the server needs %v", need)
	}
	o := w.propose(change.Proposal{Kind: change.Stage, Roots: true})
	if len(o.Transactions) != 2 || len(o.Transactions[1].Copies) != 1 {
		t.Fatalf("%+v", o.Transactions)
	}
	c := o.Transactions[1].Copies[0]
	token := w.login("carol")
	for place, wants := range map[string][]string{
		"/hosts/" + m.id: {"<code>/srv/jail</code>", "1 file copied from the host", "1 old copy"},
		"/hosts/" + m.id + "?tab=system&root=/srv/jail": {"<code>/usr/bin/ping</code> <span class=\"none\">has extended attributes: no order renews it</span>"},
		"/changes/" + o.ID: {"0 packages and 1 copied file in the root <code>/srv/jail</code>", "<code>/usr/share/openssl</code>", d(m.version), d("3.0.2-1"), c.Deb,
			"copied file on 1 host"},
		"/changes/" + o.ID + "/order.txt": {"copy         /usr/share/openssl  as in openssl 3.0.2-1\n", "now sha256:" + c.From, "new sha256:" + c.To},
	} {
		body := w.ask(token, http.MethodGet, place, nil).Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", place, want)
			}
		}
	}
}
