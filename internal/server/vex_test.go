package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// partnerVEX says that a tool is not affected, in Debian and in Ubuntu.
const partnerVEX = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex","author":"Partner","timestamp":"2026-08-04T10:00:00Z","version":1,"statements":[
{"vulnerability":{"name":"CVE-2026-1"},"status":"not_affected","justification":"component_not_present","products":[{"@id":"pkg:deb/debian/tool?arch=source&distro=debian-12"},{"@id":"pkg:deb/ubuntu/tool?arch=source&distro=jammy"}]}]}`

// TestOpenVEXComesFromAnAddressAndAFile: a document is fetched like any source's, or imported alone; it is the vendor's word for
// the distributions that the configuration names, and a claim for others.
func TestOpenVEXComesFromAnAddressAndAFile(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(partnerVEX)) }))
	t.Cleanup(site.Close)
	w := open(t, "[[source]]\nname = \"partner\"\nkind = \"openvex\"\nvendor_of = [\"ubuntu\"]\nurl = \""+site.URL+"/all/vex.json\"\n")
	admin := w.mustLogin("alice")
	var r v1.Receipt
	if err := w.ask(admin, http.MethodPost, "/sources/partner/fetches", nil, &r); err != nil || r.Documents != 1 || r.Statements != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	var c triage.Case
	if err := w.ask(admin, http.MethodGet, "/vulnerabilities/CVE-2026-1/tool", nil, &c); err != nil || len(c.Statements) != 2 ||
		!c.Statements[0].Claim || c.Statements[0].Release != "bookworm" || c.Statements[1].Claim || c.Statements[1].Release != "jammy" {
		t.Errorf("%+v, %v; want a claim about bookworm and the vendor's word about jammy", c.Statements, err)
	}
	another := strings.ReplaceAll(partnerVEX, "CVE-2026-1", "CVE-2026-2")
	if r, err := w.server.intake.Import(t.Context(), "alice", "partner", strings.NewReader(another), "file:more.json"); err != nil || r.Documents != 2 || r.Statements != 4 {
		t.Errorf("a file beside it: %+v, %v", r, err)
	}
	if r, err := w.server.intake.Import(t.Context(), "alice", "partner", strings.NewReader("{}"), "file:vex"); err != nil || r.RefusedDocuments != 1 || r.Documents != 2 {
		t.Errorf("a file that is no OpenVEX: %+v, %v; want it refused by itself", r, err)
	}
	for name, s := range map[string]Source{"of a kind that is the vendor's own": {Name: "x", Kind: "osv", VendorOf: []string{"debian"}}} {
		if err := (Config{Sources: []Source{s}}).checkSources(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("vendor_of %s: %v", name, err)
		}
	}
}
