// Package envelope holds signed documents: DSSE envelopes over raw payload bytes, with the kinds of signature that
// people and services make (sshsig, webauthn, ed25519), and the strict decoding of what was signed.
package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// MaxPayload bounds a signed payload, in bytes.
const MaxPayload = 1 << 20

var offsetTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d"`)

// Encode gives our one fixed encoding of v: compact JSON in struct order, no HTML escaping, times in UTC (others are
// refused).
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	if err == nil && offsetTime.Match(b.Bytes()) {
		err = fmt.Errorf("time %s is not in UTC", offsetTime.Find(b.Bytes()))
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads b, at most MaxPayload bytes, into v, which must be zero. It refuses unknown fields, trailing data and
// whatever does not re-encode to the same bytes: duplicate or case-variant keys, other number and time forms.
func Decode(b []byte, v any) error { return DecodeUpTo(MaxPayload, b, v) }

// DecodeUpTo is Decode with another bound, in bytes.
func DecodeUpTo(limit int, b []byte, v any) error {
	if len(b) > limit {
		return fault.New(fault.Invalid, "decode %T: %d bytes are over the limit of %d", v, len(b), limit)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if _, end := d.Token(); err == nil && end != io.EOF {
		err = errors.New("data after the document")
	}
	if err == nil {
		var again []byte
		if again, err = Encode(v); err == nil && !bytes.Equal(again, b) {
			err = errors.New("not in canonical form")
		}
	}
	if err != nil {
		return fault.New(fault.Invalid, "decode %T: %w", v, err)
	}
	return nil
}

const statementType = "https://in-toto.io/Statement/v1"

// Subject is one thing a statement is about.
type Subject struct {
	Name   string    `json:"name"`
	Digest DigestSet `json:"digest"`
}

// DigestSet holds the digests of a subject; only SHA-256, in lower hex.
type DigestSet struct {
	SHA256 string `json:"sha256"`
}

type statement[T any] struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     T         `json:"predicate"`
}

// EncodeStatement gives the in-toto Statement v1 that says predicate about subjects: the form of every signed payload.
func EncodeStatement(predicateType string, subjects []Subject, predicate any) ([]byte, error) {
	return Encode(statement[any]{statementType, append([]Subject{}, subjects...), predicateType, predicate})
}

// DecodeStatement reads a payload made by EncodeStatement, as strictly as Decode.
func DecodeStatement[T any](payload []byte, predicateType string) (T, []Subject, error) {
	var s statement[T]
	err := Decode(payload, &s)
	if err == nil && (s.Type != statementType || s.PredicateType != predicateType || s.Subject == nil) {
		err = fault.New(fault.Invalid, "decode statement: want %s about %s", statementType, predicateType)
	}
	return s.Predicate, s.Subject, err
}
