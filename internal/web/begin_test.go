package web

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// TestAHostIsAwaitedAmongManyOfLikeNames: its name is a part of a hundred others.
func TestAHostIsAwaitedAmongManyOfLikeNames(t *testing.T) {
	w := newWorld(t, "")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	w.ok(err)
	for i := range hostsPage {
		name := fmt.Sprintf("a-web-1-%d", i)
		token, _, err := w.Estate.MakeToken(t.Context(), "person/erin", estate.NewToken{Name: name, Environment: "stage", Life: time.Hour})
		w.ok(err)
		public, _, err := ed25519.GenerateKey(nil)
		w.ok(err)
		_, _, err = w.Estate.Enrol(t.Context(), wire.EnrolRequest{Token: token, Name: name, CSR: csr, ReportKey: base64.StdEncoding.EncodeToString(public)})
		w.ok(err)
	}
	a := w.ask(w.login("erin"), http.MethodGet, "/hosts/arrivals/web-1?since=0", nil)
	if want := "/hosts/" + w.hosts["web-1"].id; a.Header().Get("HX-Redirect") != want {
		t.Errorf("%d, to %q, want %s", a.Code, a.Header().Get("HX-Redirect"), want)
	}
}
