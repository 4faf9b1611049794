package envelope

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

type passkey struct {
	key     any // *ecdsa.PublicKey on P-256, or ed25519.PublicKey
	rpID    string
	origins []string
}

func parseWebAuthn(k Key) (publicKey, error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "passkey %s: %s", k.ID, why) }
	credential, ok := strings.CutPrefix(k.ID, "webauthn:")
	if id, err := base64.RawURLEncoding.Strict().DecodeString(credential); !ok || err != nil || len(id) == 0 {
		return nil, bad("ID is not \"webauthn:\" and a base64url credential ID")
	}
	spki, err := base64.StdEncoding.Strict().DecodeString(k.Public)
	if err != nil {
		return nil, bad("public part is not base64")
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, bad(err.Error())
	}
	ec, isEC := public.(*ecdsa.PublicKey)
	if _, isEd := public.(ed25519.PublicKey); !isEd && (!isEC || ec.Curve != elliptic.P256()) {
		return nil, bad("only ECDSA P-256 and Ed25519 are accepted")
	}
	if k.RPID == "" || len(k.Origins) == 0 {
		return nil, bad("rp_id and origins are missing")
	}
	return passkey{public, k.RPID, k.Origins}, nil
}

func (k passkey) verify(payloadType string, payload []byte, s Signature, p *Proof) error {
	challenge := sha256.Sum256(PAE(payloadType, payload))
	if err := k.checkClient(s.Assertion.ClientDataJSON, challenge); err != nil {
		return err
	}
	data := s.Assertion.AuthenticatorData // 32 bytes rpIdHash, flags, 4 bytes counter, extensions
	if len(data) < 37 || len(data) > 4096 || (len(data) > 37) != (data[32]&extensions != 0) {
		return errors.New("authenticator data has the wrong length")
	}
	if rp := sha256.Sum256([]byte(k.rpID)); !bytes.Equal(data[:32], rp[:]) {
		return errors.New("authenticator data is for another relying party")
	}
	if err := p.hardware(data[32]); err != nil {
		return err
	}
	if data[32]&(backupEligible|backedUp) != 0 {
		return errors.New("the passkey can be copied to other devices (backup eligible)")
	}
	client := sha256.Sum256(s.Assertion.ClientDataJSON)
	signed := append(slices.Clone(data), client[:]...)
	ok := false
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(signed)
		ok = ecdsa.VerifyASN1(key, sum[:], s.Sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, signed, s.Sig)
	}
	if !ok {
		return errors.New("does not verify")
	}
	return nil
}

// checkClient checks what the browser said it was asked. Source: WebAuthn level 2, 7.2 steps 10 to 14.
func (k passkey) checkClient(b []byte, challenge [32]byte) error {
	c, err := parseClient(b)
	if err != nil {
		return fmt.Errorf("client data: %w", err)
	}
	var text [3]string
	for i, name := range []string{"type", "challenge", "origin"} {
		if json.Unmarshal(c[name], &text[i]) != nil {
			return fmt.Errorf("client data: %s is not a string", name)
		}
	}
	switch cross, present := c["crossOrigin"]; {
	case text[0] != "webauthn.get":
		return errors.New("client data: not an assertion")
	case text[1] != base64.RawURLEncoding.EncodeToString(challenge[:]):
		return errors.New("client data: challenge is for another document")
	case !slices.Contains(k.origins, text[2]):
		return errors.New("client data: origin is not one of the key's")
	case present && string(cross) != "false", c["topOrigin"] != nil:
		return errors.New("client data: made inside another site's page")
	}
	return nil
}

// parseClient reads a JSON object of at most 4 KiB whose keys differ even when case is ignored.
func parseClient(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || len(b) > 4096 {
		return nil, errors.New("not a JSON object of at most 4 KiB")
	}
	c, folded := map[string]json.RawMessage{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok || folded[strings.ToLower(key)] {
			return nil, errors.New("keys are not distinct strings")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("value: %w", err)
		}
		c[key], folded[strings.ToLower(key)] = value, true
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("end of object: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("data after the object")
	}
	return c, nil
}
