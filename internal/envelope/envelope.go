// Package envelope holds signed documents: DSSE envelopes over raw payload bytes, with the kinds of signature that
// people and services make (sshsig, webauthn, ed25519), and the strict decoding of what was signed.
package envelope

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Envelope is a DSSE envelope. The signatures are over PAE(PayloadType, Payload), never over a re-encoding.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// Signature kinds.
const (
	SSH      = "sshsig"   // SSHSIG over the PAE, namespace = Namespace(payload type), hash sha512
	WebAuthn = "webauthn" // assertion whose challenge is SHA-256(PAE)
	Ed25519  = "ed25519"  // plain signature over the PAE, for hosts and services
)

// Signature is one signature in an envelope. Its bytes are never an identifier (ECDSA is malleable).
type Signature struct {
	KeyID     string     `json:"keyid"`
	Kind      string     `json:"kind"`
	Sig       []byte     `json:"sig"` // sshsig: the binary SSHSIG blob; webauthn: the raw signature; ed25519: 64 bytes
	Assertion *Assertion `json:"assertion,omitempty"`
}

// Assertion is what a WebAuthn authenticator signed besides the challenge, kept raw.
type Assertion struct {
	AuthenticatorData []byte `json:"authenticatorData"`
	ClientDataJSON    []byte `json:"clientDataJSON"`
}

// Key is a public key as a trust root or the host table holds it.
//
//	sshsig:   Public is an authorized_keys line's "type base64" (no comment); ID is its SHA256:… fingerprint
//	webauthn: Public is base64 (std) of the SPKI; ID is "webauthn:" + base64url of the credential ID
//	ed25519:  Public is base64 (std) of the 32 bytes; ID is "ed25519:" + lower hex of the first 16 bytes of its SHA-256
type Key struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Public  string   `json:"public"`
	RPID    string   `json:"rp_id,omitempty"`   // webauthn only
	Origins []string `json:"origins,omitempty"` // webauthn only
}

// Proof says what a verified signature showed.
type Proof struct {
	KeyID        string
	Kind         string
	UserPresent  bool // sk- keys and webauthn: touched
	UserVerified bool // sk- keys and webauthn: PIN or biometry
	Hardware     bool // sk- key or webauthn
}

// Digest gives the SHA-256 of b in lower hex, the name of every signed payload and fact.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ValidDigest reports whether s has the form Digest gives.
func ValidDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// PAE is the pre-authentication encoding: the bytes that are signed. Source: DSSE v1.
func PAE(payloadType string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload)), payload...)
}

var payloadTypes = regexp.MustCompile(`^application/vnd\.patchwarrant\.([a-z0-9-]+\.v[1-9][0-9]*)\+json$`)

// Namespace gives the SSHSIG namespace of one of our payload types, such as "order.v1@patchwarrant", so that a signature
// for one type is none for another. It is empty for types that are not ours.
func Namespace(payloadType string) string {
	if m := payloadTypes.FindStringSubmatch(payloadType); m != nil {
		return m[1] + "@patchwarrant"
	}
	return ""
}

// Verify checks that s is k's signature of the payload. Refusals have the code SIGNATURE.
func (k Key) Verify(payloadType string, payload []byte, s Signature) (Proof, error) {
	p := Proof{KeyID: k.ID, Kind: k.Kind}
	public, err := k.parse()
	if err == nil && (s.KeyID != k.ID || s.Kind != k.Kind || (s.Assertion != nil) != (k.Kind == WebAuthn)) {
		err = errors.New("signature is of another key or kind")
	}
	if err == nil {
		err = public.verify(payloadType, payload, s, &p)
	}
	if err != nil {
		return Proof{}, fault.Refuse(fault.BadSignature, "verify %s signature by %s: %w", k.Kind, k.ID, err)
	}
	return p, nil
}

// Check reports what is wrong with a key: its form, its algorithm, or an ID that is not the key's.
func (k Key) Check() error {
	_, err := k.parse()
	return err
}

// publicKey is a parsed Key.
type publicKey interface {
	verify(payloadType string, payload []byte, s Signature, p *Proof) error
}

func (k Key) parse() (public publicKey, err error) {
	switch {
	case k.Kind == WebAuthn:
		public, err = parseWebAuthn(k)
	case k.RPID != "" || k.Origins != nil:
		err = errors.New("rp_id and origins are for passkeys")
	case k.Kind == SSH:
		public, err = parseSSH(k)
	case k.Kind == Ed25519:
		b, wrong := base64.StdEncoding.Strict().DecodeString(k.Public)
		if public = plainKey(b); wrong != nil || len(b) != ed25519.PublicKeySize || Ed25519Key(b).ID != k.ID {
			err = errors.New("not the ed25519 key of this ID")
		}
	default:
		err = fmt.Errorf("unknown kind %q", k.Kind)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "key %s: %w", k.ID, err)
	}
	return public, nil
}

type plainKey ed25519.PublicKey

func (k plainKey) verify(payloadType string, payload []byte, s Signature, _ *Proof) error {
	if !ed25519.Verify(ed25519.PublicKey(k), PAE(payloadType, payload), s.Sig) {
		return errors.New("does not verify")
	}
	return nil
}

// Ed25519Key gives the Key of a host's or service's public key.
func Ed25519Key(pub ed25519.PublicKey) Key {
	return Key{ID: "ed25519:" + Digest(pub)[:32], Kind: Ed25519, Public: base64.StdEncoding.EncodeToString(pub)}
}

// SignEd25519 signs as a host or service.
func SignEd25519(private ed25519.PrivateKey, payloadType string, payload []byte) Signature {
	key := Ed25519Key(private.Public().(ed25519.PublicKey))
	return Signature{KeyID: key.ID, Kind: Ed25519, Sig: ed25519.Sign(private, PAE(payloadType, payload))}
}
