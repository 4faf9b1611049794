package estate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const (
	caLife    = 10 * 365 * 24 * time.Hour
	certLife  = 72 * time.Hour
	clockSlip = 5 * time.Minute // certificates are valid from a little before now
)

// CA makes the certificates of hosts and of the agents' door. It is ours alone: hosts pin it by hash, no public trust.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// OpenCA reads ca.pem and ca.key (mode 0600) in dir, or makes both where neither is there.
func OpenCA(dir string, now func() time.Time) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	if _, err := os.Lstat(certPath); errors.Is(err, fs.ErrNotExist) {
		if err := makeCA(certPath, keyPath, now()); err != nil {
			return nil, fmt.Errorf("make the hosts' CA in %s: %w", dir, err)
		}
	}
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("open the hosts' CA in %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fault.New(fault.Invalid, "%s is not a CA with an ECDSA key", certPath)
	}
	return &CA{cert: pair.Leaf, key: key, now: now}, nil
}

// makeCA writes the key first: a certificate on disk means that its key is there too. A key without a certificate is
// never overwritten.
func makeCA(certPath, keyPath string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Patchwarrant hosts"}, NotBefore: now.Add(-clockSlip), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeNew(keyPath, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	return writeNew(certPath, 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

func writeNew(path string, mode fs.FileMode, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, by)
}

// DER is the CA certificate.
func (c *CA) DER() []byte { return c.cert.Raw }

// Hash is the SHA-256 of the CA certificate (DER) in lower hex: what the enrolment line pins.
func (c *CA) Hash() string { return fingerprint(c.cert.Raw) }

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Host makes a client certificate for a host over the key of a PKCS #10 request; nothing else of the request is used.
func (c *CA) Host(id string, csr []byte) (der []byte, expires time.Time, err error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || request.CheckSignature() != nil {
		return nil, time.Time{}, fault.New(fault.Invalid, "the certificate request is not a PKCS #10 request signed by its own key")
	}
	public, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, time.Time{}, fault.New(fault.Invalid, "the certificate request's key is not ECDSA P-256")
	}
	now := c.now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: id}, NotBefore: now.Add(-clockSlip), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err = sign(template, c.cert, public, c.key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("sign certificate of %s: %w", id, err)
	}
	return der, template.NotAfter.Truncate(time.Second), nil
}

// ServerTLS is the configuration of the agents' door under names (DNS names or addresses): TLS 1.3, our own server
// certificate renewed in memory at two thirds of its life, client certificates verified against this CA where given.
func (c *CA) ServerTLS(names []string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	door := &doorCert{ca: c, names: names}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: c.now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return door.current() },
	}
}

type doorCert struct {
	ca    *CA
	names []string

	mu    sync.Mutex
	cert  *tls.Certificate
	renew time.Time
}

func (d *doorCert) current() (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.ca.now()
	if d.cert != nil && now.Before(d.renew) {
		return d.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Patchwarrant agents' door"}, NotBefore: now.Add(-clockSlip), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range d.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := sign(template, d.ca.cert, &key.PublicKey, d.ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of the agents' door: %w", err)
	}
	d.cert = &tls.Certificate{Certificate: [][]byte{der, d.ca.cert.Raw}, PrivateKey: key}
	d.renew = now.Add(certLife * 2 / 3)
	return d.cert, nil
}
