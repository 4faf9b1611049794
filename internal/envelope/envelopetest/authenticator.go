// Package envelopetest imitates hardware authenticators in software, with flags and client data that a test can spoil.
package envelopetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// Passkey is a WebAuthn credential on P-256 for https://patch.example.org.
type Passkey struct {
	Key       envelope.Key
	RPID      string        // it signs for; the key's, unless spoilt
	Flags     byte          // of the authenticator data; user present and verified, unless spoilt
	Extension []byte        // after the 37 bytes
	Client    func(*[]byte) // spoils the client data
	Private   crypto.Signer // *ecdsa.PrivateKey or ed25519.PrivateKey
	tb        testing.TB
}

// NewPasskey makes a credential on P-256.
func NewPasskey(tb testing.TB) *Passkey {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return PasskeyOf(tb, private)
}

// PasskeyOf makes a credential of a private key.
func PasskeyOf(tb testing.TB, private crypto.Signer) *Passkey {
	tb.Helper()
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		tb.Fatal(err)
	}
	id := sha256.Sum256(spki)
	key := envelope.Key{
		ID: "webauthn:" + base64.RawURLEncoding.EncodeToString(id[:16]), Kind: envelope.WebAuthn,
		Public: base64.StdEncoding.EncodeToString(spki), RPID: "patch.example.org", Origins: []string{"https://patch.example.org"},
	}
	return &Passkey{Key: key, RPID: key.RPID, Flags: 0x05, Private: private, Client: func(*[]byte) {}, tb: tb}
}

// Challenge gives the challenge for a payload.
func Challenge(payloadType string, payload []byte) []byte {
	sum := sha256.Sum256(envelope.PAE(payloadType, payload))
	return sum[:]
}

// Sign gives the assertion a browser would send.
func (p *Passkey) Sign(payloadType string, payload []byte) envelope.Signature {
	p.tb.Helper()
	client, err := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}{"webauthn.get", base64.RawURLEncoding.EncodeToString(Challenge(payloadType, payload)), "https://patch.example.org", false})
	if err != nil {
		p.tb.Fatal(err)
	}
	p.Client(&client)
	rp, hash := sha256.Sum256([]byte(p.RPID)), sha256.Sum256(client)
	data := append(append(append(rp[:], p.Flags), 0, 0, 0, 1), p.Extension...)
	signed, options := append(append([]byte{}, data...), hash[:]...), crypto.SignerOpts(crypto.Hash(0))
	if _, ok := p.Private.(*ecdsa.PrivateKey); ok {
		sum := sha256.Sum256(signed)
		signed, options = sum[:], crypto.SHA256
	}
	sig, err := p.Private.Sign(rand.Reader, signed, options)
	if err != nil {
		p.tb.Fatal(err)
	}
	return envelope.Signature{KeyID: p.Key.ID, Kind: envelope.WebAuthn, Sig: sig,
		Assertion: &envelope.Assertion{AuthenticatorData: data, ClientDataJSON: client}}
}

// Token is an sk-ssh-ed25519@openssh.com key. It is an ssh.Signer.
type Token struct {
	Flags   byte // user present and verified, unless spoilt
	Rest    int  // bytes of flags and counter to give; 5 unless spoilt
	private ed25519.PrivateKey
	public  ssh.PublicKey
}

const application = "ssh:"

// NewToken makes a token.
func NewToken(tb testing.TB) *Token {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	pub, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, application}))
	if err != nil {
		tb.Fatal(err)
	}
	return &Token{Flags: 0x05, Rest: 5, private: private, public: pub}
}

// PublicKey gives the public key.
func (t *Token) PublicKey() ssh.PublicKey { return t.public }

// Sign signs as a token does. Source: OpenSSH PROTOCOL.u2f, "SSH U2F signatures".
func (t *Token) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{t.Flags}, 7)
	signed := append(append(append([]byte{}, app[:]...), rest...), message[:]...)
	if t.Rest > len(rest) {
		return nil, fmt.Errorf("a token gives at most %d bytes", len(rest))
	}
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(t.private, signed), Rest: rest[:t.Rest]}, nil
}
