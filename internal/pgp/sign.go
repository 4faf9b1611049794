package pgp

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Signer signs release files with one secret key.
type Signer struct{ entity *openpgp.Entity }

// Algorithm of a new key.
type Algorithm int

// Ed25519 keys are small and fast; RSA3072 is for clients or policies that know nothing newer.
const (
	Ed25519 Algorithm = iota
	RSA3072
)

// Generate makes a key that only signs, without expiry.
func Generate(name, mail string, algorithm Algorithm, now time.Time) (*Signer, error) {
	config := signingConfig(now)
	config.Algorithm = packet.PubKeyAlgoEdDSA
	if algorithm == RSA3072 {
		config.Algorithm, config.RSABits = packet.PubKeyAlgoRSA, 3072
	}
	e, err := openpgp.NewEntity(name, "", mail, config)
	if err != nil {
		return nil, fmt.Errorf("generate OpenPGP key: %w", err)
	}
	e.Subkeys = nil // the library adds one to encrypt
	return &Signer{e}, nil
}

func signingConfig(now time.Time) *packet.Config {
	return &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return now }}
}

// LoadSigner reads an armoured secret key without passphrase (the file's mode protects it).
func LoadSigner(armoured []byte) (*Signer, error) {
	if len(armoured) > maxKeyring {
		return nil, fault.New(fault.Invalid, "the signing key's file is larger than %d bytes", maxKeyring)
	}
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armoured))
	if err != nil || len(entities) != 1 {
		return nil, fault.New(fault.Invalid, "the signing key's file does not hold exactly one armoured OpenPGP key")
	}
	e := entities[0]
	if e.PrivateKey == nil || e.PrivateKey.Encrypted {
		return nil, fault.New(fault.Invalid, "the signing key %s has no secret part, or one behind a passphrase", fingerprint(e))
	}
	return &Signer{e}, nil
}

// Fingerprint of the primary key, lower hex.
func (s *Signer) Fingerprint() string { return fingerprint(s.entity) }

// ArmouredPublic gives the public key, fit for apt's Signed-By.
func (s *Signer) ArmouredPublic() ([]byte, error) {
	return armoured(openpgp.PublicKeyType, s.entity.Serialize)
}

// ArmouredPrivate gives the secret key, for the file that LoadSigner reads.
func (s *Signer) ArmouredPrivate() ([]byte, error) {
	return armoured(openpgp.PrivateKeyType, func(w io.Writer) error { return s.entity.SerializePrivateWithoutSigning(w, nil) })
}

// armoured wraps what write gives in armour with its checksum line: gpgv 2.2 refuses nearly all elliptic-curve
// signatures without it.
func armoured(kind string, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&out, kind, nil, true)
	if err == nil {
		err = write(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("armour: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// SignClearsigned gives text as a clear-signed document. Text ends in a newline and has no blanks at line ends, which
// the signature would not cover.
func (s *Signer) SignClearsigned(text []byte, now time.Time) ([]byte, error) {
	if !bytes.HasSuffix(text, []byte("\n")) || bytes.Contains(text, []byte(" \n")) || bytes.ContainsAny(text, "\t\r") {
		return nil, fault.New(fault.Internal, "text to sign has blanks at line ends, carriage returns, tabs or no last newline")
	}
	key, ok := s.entity.SigningKey(now)
	if !ok {
		return nil, fault.New(fault.Conflict, "the key %s cannot sign now: expired or revoked", s.Fingerprint())
	}
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, key.PrivateKey, signingConfig(now))
	if err == nil {
		_, err = w.Write(text[:len(text)-1]) // the encoder ends the last line itself
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return rearmour(out.Bytes())
}

// rearmour writes the signature block of a clear-signed document again, with checksum.
func rearmour(document []byte) ([]byte, error) {
	block, _ := clearsign.Decode(document)
	at := bytes.LastIndex(document, []byte("\n-----BEGIN PGP SIGNATURE-----"))
	if block == nil || at < 0 {
		return nil, fault.New(fault.Internal, "the signature just made cannot be read")
	}
	signature, err := armoured(openpgp.SignatureType, func(w io.Writer) error {
		_, err := io.Copy(w, block.ArmoredSignature.Body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return append(document[:at+1:at+1], signature...), nil
}
