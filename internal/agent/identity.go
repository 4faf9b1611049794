package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// newKey makes a key and a certificate request for it.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, csr, err
}

// writeIdentity keeps key and certificate in one file, so that no crash can leave one without the other.
func writeIdentity(path string, key *ecdsa.PrivateKey, cert []byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	return writeFile(path, 0o600, b)
}

func readIdentity(path string) (*tls.Certificate, error) {
	b, err := readFile(path, 64<<10)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is damaged: %w", path, err)
	}
	return &pair, nil
}

// door is the TLS configuration towards a server of the enrolled CA, as the host of the identity.
func (a *Agent) door() (*tls.Config, error) {
	ca, err := readFile(a.places.ca(), 64<<10)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate", a.places.ca())
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{*a.identity}, Time: a.now}, nil
}

// connect opens the identity and makes the client that uses it.
func (a *Agent) connect() (err error) {
	if a.identity, err = readIdentity(a.places.identity()); err != nil {
		return fmt.Errorf("open identity: %w", err)
	}
	config, err := a.door()
	if err != nil {
		return fmt.Errorf("open the server's CA: %w", err)
	}
	a.client, err = newClient(a.config.Server, config)
	return err
}

// renew replaces the certificate once two thirds of its life are over.
func (a *Agent) renew(ctx context.Context) error {
	leaf := a.identity.Leaf
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	now := a.now()
	if now.Before(leaf.NotBefore.Add(life * 2 / 3)) {
		return nil
	}
	if !now.Before(leaf.NotAfter) {
		return fault.New(fault.Unauthenticated, "this host's certificate expired at %s; enrol it again", leaf.NotAfter.Format(time.RFC3339))
	}
	key, csr, err := newKey()
	if err != nil {
		return err
	}
	var answer wire.RenewAnswer
	if err := a.client.post(ctx, wire.RenewPath, wire.RenewRequest{CSR: csr}, wire.MaxDocument, &answer); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if cert, err := x509.ParseCertificate(answer.Certificate); err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return fault.New(fault.Unavailable, "renew certificate: the server's answer is no certificate for the key")
	}
	if err := writeIdentity(a.places.identity(), key, answer.Certificate); err != nil {
		return err
	}
	a.log.Info("certificate renewed")
	return a.connect()
}
