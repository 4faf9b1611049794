// Package passkeytest makes the answers that browsers give to registrations, with flags a test can spoil.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
)

const attested = 0x40 // flag: the authenticator data holds a new credential

// Register gives PublicKeyCredential.toJSON() of a passkey on P-256 made for its site, without an attestation statement.
func Register(tb testing.TB, p *envelopetest.Passkey, challenge string) []byte {
	tb.Helper()
	client, err := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}{"webauthn.create", challenge, p.Key.Origins[0], false})
	if err != nil {
		tb.Fatal(err)
	}
	p.Client(&client)
	credential := strings.TrimPrefix(p.Key.ID, "webauthn:")
	id, err := base64.RawURLEncoding.DecodeString(credential)
	if err != nil {
		tb.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	out, err := json.Marshal(map[string]any{
		"id": credential, "rawId": credential, "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(client), "attestationObject": b64(object(tb, p, id))},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// object is an attestation object of format "none". Source: WebAuthn level 2, 6.5; RFC 8949; RFC 9053.
func object(tb testing.TB, p *envelopetest.Passkey, id []byte) []byte {
	public, ok := p.Private.Public().(*ecdsa.PublicKey)
	if !ok {
		tb.Fatal("not a key on P-256")
	}
	point, err := public.Bytes() // 4, x, y
	if err != nil {
		tb.Fatal(err)
	}
	rp := sha256.Sum256([]byte(p.RPID))
	data := append(rp[:], p.Flags|attested, 0, 0, 0, 1)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(id))), id...)
	data = append(data, 0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32) // {kty: EC2, alg: ES256, crv: P-256, x: …
	data = append(data, point[1:33]...)
	data = append(data, 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	b := append([]byte{0xa3, 0x63}, "fmt"...)
	b = append(append(b, 0x64), "none"...)
	b = append(append(b, 0x67), "attStmt"...)
	b = append(append(b, 0xa0, 0x68), "authData"...)
	b = binary.BigEndian.AppendUint16(append(b, 0x59), uint16(len(data)))
	return append(b, data...)
}
