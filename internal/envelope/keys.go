package envelope

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var errMismatch = errors.New("it does not verify")

// verifier is a parsed key. It checks a signature of the PAE, whose payload type is given, and notes in p what it shows.
type verifier func(payloadType string, pae []byte, s Signature, p *Proof) error

// Verify checks that s is k's signature of the payload. Refusals have the code SIGNATURE.
func (k Key) Verify(payloadType string, payload []byte, s Signature) (Proof, error) {
	p := Proof{KeyID: k.ID, Kind: k.Kind}
	verify, err := k.parse()
	if err == nil && (s.KeyID != k.ID || s.Kind != k.Kind || (s.Assertion != nil) != (k.Kind == WebAuthn)) {
		err = errors.New("it is of another key or kind")
	}
	if err == nil {
		err = verify(payloadType, PAE(payloadType, payload), s, &p)
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

func (k Key) parse() (v verifier, err error) {
	words := strings.Split(k.Public, " ")
	public, err := base64.StdEncoding.Strict().DecodeString(words[len(words)-1])
	switch {
	case err != nil:
	case k.Kind == SSH && len(words) == 2:
		v, err = k.parseSSH(words[0], public)
	case k.Kind == WebAuthn && len(words) == 1:
		v, err = k.parseWebAuthn(public)
	case k.Kind == Ed25519 && len(words) == 1 && len(public) == ed25519.PublicKeySize && Ed25519Key(public).ID == k.ID:
		v = func(_ string, pae []byte, s Signature, _ *Proof) error {
			if !ed25519.Verify(public, pae, s.Sig) {
				return errMismatch
			}
			return nil
		}
	default:
		err = fmt.Errorf("its kind %q, ID and public part do not go together", k.Kind)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "key %s: %w", k.ID, err)
	}
	return v, nil
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

// hardware takes over the flags of a FIDO authenticator: it must have been touched and have verified its user (PIN or
// biometry). Source: WebAuthn level 2, 6.1; OpenSSH PROTOCOL.u2f.
func (p *Proof) hardware(flags byte) error {
	p.Hardware, p.UserPresent, p.UserVerified = true, flags&0x01 != 0, flags&0x04 != 0
	if !p.UserPresent || !p.UserVerified {
		return errors.New("the authenticator was not touched, or did not verify its user (SSH keys: make them with -O verify-required)")
	}
	return nil
}

var sshAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256}

func (k Key) parseSSH(algorithm string, public []byte) (verifier, error) {
	pub, err := ssh.ParsePublicKey(public)
	if err != nil {
		return nil, err
	}
	if pub.Type() != algorithm || !slices.Contains(sshAlgorithms, algorithm) || ssh.FingerprintSHA256(pub) != k.ID {
		return nil, fmt.Errorf("algorithm %s is not accepted, or ID and public part do not go together", pub.Type())
	}
	if algorithm == ssh.KeyAlgoRSA && pub.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey).N.BitLen() < 3072 {
		return nil, errors.New("RSA keys need 3072 bits or more")
	}
	return func(payloadType string, pae []byte, s Signature, p *Proof) error {
		sig, err := sshsig.ParseSignature(s.Sig)
		if err != nil {
			return err
		}
		namespace := Namespace(payloadType)
		if namespace == "" || sig.HashAlgorithm != sshsig.HashSHA512 {
			return fmt.Errorf("payload type %q with hash %s; want one of ours with sha512", payloadType, sig.HashAlgorithm)
		}
		if err := sshsig.Verify(bytes.NewReader(pae), sig, pub, sig.HashAlgorithm, namespace); err != nil {
			return err
		}
		switch flags := sig.Signature.Rest; { // flags (one byte) and a counter, after the signature proper
		case !strings.HasPrefix(algorithm, "sk-"):
			return nil
		case len(flags) != 5:
			return errors.New("authenticator flags are missing")
		default:
			return p.hardware(flags[0])
		}
	}, nil
}

func (k Key) parseWebAuthn(spki []byte) (verifier, error) {
	credential, ok := strings.CutPrefix(k.ID, "webauthn:")
	id, err := base64.RawURLEncoding.Strict().DecodeString(credential)
	if !ok || err != nil || len(id) == 0 || k.RPID == "" || len(k.Origins) == 0 {
		return nil, errors.New("want ID webauthn: with a base64url credential ID, rp_id and origins")
	}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	public, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("passkeys must be ECDSA P-256 (ES256)")
	}
	return func(_ string, pae []byte, s Signature, p *Proof) error {
		if err := k.checkClient(s.Assertion.ClientDataJSON, sha256.Sum256(pae)); err != nil {
			return err
		}
		data, rp := s.Assertion.AuthenticatorData, sha256.Sum256([]byte(k.RPID)) // rpIdHash, flags, counter, extensions
		if len(data) < 37 || len(data) > 4096 || (len(data) > 37) != (data[32]&0x80 != 0) || !bytes.Equal(data[:32], rp[:]) {
			return errors.New("authenticator data is of the wrong length, or for another relying party")
		}
		if data[32]&(0x08|0x10) != 0 {
			return errors.New("the passkey can be copied to other devices")
		}
		client := sha256.Sum256(s.Assertion.ClientDataJSON)
		if sum := sha256.Sum256(slices.Concat(data, client[:])); !ecdsa.VerifyASN1(public, sum[:], s.Sig) {
			return errMismatch
		}
		return p.hardware(data[32])
	}, nil
}

// said finds keys of client data that were read already, and escapes that could hide them.
var said = regexp.MustCompile(`(?i)\\|"(type|challenge|origin|crossOrigin|topOrigin)"`)

// checkClient checks what the browser says it was asked: an assertion for this challenge, on one of the key's origins, not
// inside another site's page. Browsers write these first and in this form; what they may add later must not say them
// again. Source: WebAuthn level 2, 5.8.1.2 (limited verification) and 7.2.
func (k Key) checkClient(b []byte, challenge [32]byte) error {
	for _, origin := range k.Origins {
		begin := fmt.Sprintf(`{"type":"webauthn.get","challenge":"%s","origin":"%s"`, base64.RawURLEncoding.EncodeToString(challenge[:]), origin)
		rest, ok := strings.CutPrefix(string(b), begin)
		rest = strings.TrimPrefix(rest, `,"crossOrigin":false`)
		if ok && len(b) <= 4096 && json.Valid(b) && !said.MatchString(rest) {
			return nil
		}
	}
	return errors.New("client data is not an assertion for this document on an origin of the key")
}
