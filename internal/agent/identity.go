package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/tpm"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Kinds of PEM block that a private key is kept in.
const (
	plainKey = "PRIVATE KEY"
	boundKey = "PATCHWARRANT TPM KEY" // tpm.Key's bytes
)

// newKey makes a key and a certificate request for it: in the TPM, where root's configuration names one.
func (c Config) newKey() (key crypto.Signer, csr []byte, err error) {
	if c.TPM != "" {
		key, err = tpm.New(c.TPM)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, csr, err
}

// certifies reports whether a certificate is one for the key.
func certifies(der []byte, key crypto.Signer) bool {
	cert, err := x509.ParseCertificate(der)
	public, ok := key.Public().(*ecdsa.PublicKey)
	return err == nil && ok && public.Equal(cert.PublicKey)
}

// writeIdentity keeps key and certificate in one file, so that no crash can leave one without the other.
func writeIdentity(path string, key crypto.Signer, cert []byte) error {
	block := &pem.Block{Type: plainKey}
	if bound, ok := key.(*tpm.Key); ok {
		block = &pem.Block{Type: boundKey, Bytes: bound.Bytes()}
	} else {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		block.Bytes = der
	}
	b := append(pem.EncodeToMemory(block), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	return writeFile(path, 0o600, b)
}

// readIdentity reads what writeIdentity wrote; a key of a TPM is used in the one at device.
func readIdentity(path, device string) (*tls.Certificate, error) {
	b, err := readFile(path, 64<<10)
	if err != nil {
		return nil, err
	}
	pair, err := parseIdentity(b, device)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is damaged: %w", path, err)
	}
	return pair, nil
}

func parseIdentity(b []byte, device string) (*tls.Certificate, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != boundKey {
		pair, err := tls.X509KeyPair(b, b)
		return &pair, err
	}
	key, err := tpm.Parse(device, block.Bytes)
	if err != nil {
		return nil, err
	}
	if block, _ = pem.Decode(rest); block == nil || !certifies(block.Bytes, key) {
		return nil, errors.New("no certificate for its key")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key, Leaf: leaf}, err
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
	if a.identity, err = readIdentity(a.places.identity(), a.config.TPM); err != nil {
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
	key, csr, err := a.config.newKey()
	if err != nil {
		return err
	}
	var answer wire.RenewAnswer
	if err := a.client.post(ctx, wire.RenewPath, wire.RenewRequest{CSR: csr}, wire.MaxDocument, &answer); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if !certifies(answer.Certificate, key) {
		return fault.New(fault.Unavailable, "renew certificate: the server's answer is no certificate for the key")
	}
	if err := writeIdentity(a.places.identity(), key, answer.Certificate); err != nil {
		return err
	}
	a.log.Info("certificate renewed")
	return a.connect()
}
