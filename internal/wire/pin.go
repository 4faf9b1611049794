package wire

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Pinned trusts the server whose chain ends in the CA certificate with this SHA-256 (lower hex, of the DER), before
// anything else is known of it.
func Pinned(caHash, serverName string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The standard verification needs the CA itself; we have its hash. VerifyConnection does the same work against the
		// CA that the server shows, once that has proved to be the pinned one.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			chain := s.PeerCertificates
			i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return envelope.Digest(c.Raw) == caHash })
			if i < 1 || !chain[i].IsCA {
				return fault.New(fault.Denied, "the server's certificate is not from the pinned CA: wrong server, or someone in between")
			}
			return verifyServer(chain[0], chain[i], serverName, now())
		},
	}
}

func verifyServer(leaf, ca *x509.Certificate, name string, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}
