//go:build pages

package world

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/patchwarrant/patchwarrant/internal/server"
)

// certified is a certificate for this machine that the server trusts as it trusts those of the world, and the SHA-256 of its
// public key, as Chromium takes it.
func certified(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file) // read once, before the first connection to the outside
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return s.TLS.Certificates[0], base64.StdEncoding.EncodeToString(sum[:])
}

// provide starts an OpenID provider that somebody else wrote and makes the server ask it. The first who signs in there is bob,
// and all others are somebody whom the trust root does not know.
func (s *site) provide() {
	s.t.Helper()
	certificate, pin := certified(s.t)
	provider, err := mockoidc.NewServer(nil)
	s.ok(err)
	l, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	s.ok(err)
	c := &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.ok(provider.Start(tls.NewListener(l, c), c))
	s.t.Cleanup(func() { provider.Shutdown() })
	provider.QueueUser(&mockoidc.MockUser{Subject: "4711", PreferredUsername: "bob"})
	secret := filepath.Join(s.dir, "provider.secret")
	s.ok(os.WriteFile(secret, []byte(provider.ClientSecret), 0o600))
	s.config.Providers = []server.Provider{{Name: "corp", Issuer: provider.Issuer(), ClientID: provider.ClientID, ClientSecretFile: secret, Claim: "preferred_username"}}
	s.provider = pin
}

// controls are what tests do to the world behind the server's back: POST /clock?minutes=N, and POST /archive, by which the
// vendor publishes a newer nginx.
func (s *site) controls() string {
	s.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clock", func(w http.ResponseWriter, r *http.Request) {
		minutes, err := strconv.Atoi(r.URL.Query().Get("minutes"))
		s.ok(err)
		s.late.Add(-int64(time.Duration(minutes) * time.Minute))
	})
	mux.HandleFunc("POST /archive", func(http.ResponseWriter, *http.Request) {
		s.archive.Add("nginx", "1.22.1-9+deb12u4", "amd64", "Source: nginx")
		s.archive.Publish(s.now().Add(-time.Second), s.now().Add(7*24*time.Hour))
	})
	c := httptest.NewServer(mux)
	s.t.Cleanup(c.Close)
	return c.URL
}
