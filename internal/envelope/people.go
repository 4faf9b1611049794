package envelope

import (
	"bytes"
	"crypto/ecdsa"
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

// Flags of a FIDO authenticator: in the signatures of sk- keys and in WebAuthn authenticator data.
const (
	userPresent    = 0x01
	userVerified   = 0x04
	backupEligible = 0x08 // the key can be copied
	backedUp       = 0x10
	extensions     = 0x80
)

// hardware takes over what an authenticator's flags show: both touch and verification (PIN or biometry) are required.
func (p *Proof) hardware(flags byte) error {
	p.Hardware, p.UserPresent, p.UserVerified = true, flags&userPresent != 0, flags&userVerified != 0
	if !p.UserPresent {
		return errors.New("the authenticator was not touched")
	}
	if !p.UserVerified {
		return errors.New("the authenticator did not verify its user; make the key with -O verify-required")
	}
	return nil
}

// SSHKey reads one authorized_keys line ("type base64 comment"). Accepted: ed25519, ecdsa, rsa from 3072 bits, and the
// hardware kinds sk-ssh-ed25519 and sk-ecdsa; no certificates, no options.
func SSHKey(authorizedLine string) (Key, error) {
	fields := strings.Fields(authorizedLine)
	if len(fields) < 2 {
		return Key{}, fault.New(fault.Invalid, "SSH key: want a line \"type base64 [comment]\"")
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(fields[0] + " " + fields[1]))
	if err != nil {
		return Key{}, fault.New(fault.Invalid, "SSH key: %w", err)
	}
	k := Key{ID: ssh.FingerprintSHA256(pub), Kind: SSH, Public: fields[0] + " " + fields[1]}
	return k, k.Check()
}

type sshKey struct{ ssh.PublicKey }

var sshAlgorithms = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256}

func parseSSH(k Key) (publicKey, error) {
	algorithm, text, _ := strings.Cut(k.Public, " ")
	wire, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	pub, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(sshAlgorithms, pub.Type()) {
		return nil, fmt.Errorf("algorithm %s is not accepted", pub.Type())
	}
	if pub.Type() == ssh.KeyAlgoRSA && pub.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey).N.BitLen() < 3072 {
		return nil, errors.New("RSA keys need 3072 bits or more")
	}
	if pub.Type() != algorithm || !bytes.Equal(pub.Marshal(), wire) || ssh.FingerprintSHA256(pub) != k.ID {
		return nil, errors.New("public part, type and fingerprint do not belong together")
	}
	return sshKey{pub}, nil
}

func (k sshKey) verify(payloadType string, payload []byte, s Signature, p *Proof) error {
	sig, err := sshsig.ParseSignature(s.Sig)
	if err != nil {
		return err
	}
	namespace := Namespace(payloadType)
	if namespace == "" || sig.HashAlgorithm != sshsig.HashSHA512 {
		return fmt.Errorf("payload type %q with hash %s; want one of ours with sha512", payloadType, sig.HashAlgorithm)
	}
	if err := sshsig.Verify(bytes.NewReader(PAE(payloadType, payload)), sig, k.PublicKey, sig.HashAlgorithm, namespace); err != nil {
		return err
	}
	if !strings.HasPrefix(k.Type(), "sk-") {
		return nil
	}
	// After the signature proper an sk- key gives its flags (one byte) and a counter. Source: OpenSSH PROTOCOL.u2f.
	if len(sig.Signature.Rest) != 5 {
		return errors.New("authenticator flags are missing")
	}
	return p.hardware(sig.Signature.Rest[0])
}

// SignSSH signs with a key file's or an agent's signer; the signature is the same that `ssh-keygen -Y sign` makes over
// the PAE in the payload type's namespace.
func SignSSH(signer ssh.Signer, payloadType string, payload []byte) (Signature, error) {
	sig, err := sshsig.Sign(bytes.NewReader(PAE(payloadType, payload)), signer, sshsig.HashSHA512, Namespace(payloadType))
	if err != nil {
		return Signature{}, fmt.Errorf("sign %s with SSH key: %w", payloadType, err)
	}
	return Signature{KeyID: ssh.FingerprintSHA256(signer.PublicKey()), Kind: SSH, Sig: sig.Marshal()}, nil
}

type passkey struct {
	Key
	public *ecdsa.PublicKey
}

func parseWebAuthn(k Key) (publicKey, error) {
	credential, ok := strings.CutPrefix(k.ID, "webauthn:")
	id, idErr := base64.RawURLEncoding.Strict().DecodeString(credential)
	spki, err := base64.StdEncoding.Strict().DecodeString(k.Public)
	if !ok || idErr != nil || len(id) == 0 || err != nil || k.RPID == "" || len(k.Origins) == 0 {
		return nil, errors.New("want ID webauthn: with a base64url credential ID, base64 public key, rp_id and origins")
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if ec, ok := public.(*ecdsa.PublicKey); err == nil && ok && ec.Curve == elliptic.P256() {
		return passkey{k, ec}, nil
	}
	return nil, errors.New("passkeys must be ECDSA P-256 (ES256)")
}

func (k passkey) verify(payloadType string, payload []byte, s Signature, p *Proof) error {
	if err := k.checkClient(s.Assertion.ClientDataJSON, sha256.Sum256(PAE(payloadType, payload))); err != nil {
		return err
	}
	data := s.Assertion.AuthenticatorData // 32 bytes rpIdHash, flags, 4 bytes counter, extensions
	if len(data) < 37 || len(data) > 4096 || (len(data) > 37) != (data[32]&extensions != 0) {
		return errors.New("authenticator data has the wrong length")
	}
	if rp := sha256.Sum256([]byte(k.RPID)); !bytes.Equal(data[:32], rp[:]) {
		return errors.New("authenticator data is for another relying party")
	}
	if err := p.hardware(data[32]); err != nil {
		return err
	}
	if data[32]&(backupEligible|backedUp) != 0 {
		return errors.New("the passkey can be copied to other devices")
	}
	client := sha256.Sum256(s.Assertion.ClientDataJSON)
	if sum := sha256.Sum256(slices.Concat(data, client[:])); !ecdsa.VerifyASN1(k.public, sum[:], s.Sig) {
		return errors.New("does not verify")
	}
	return nil
}

// said finds keys of client data that were read already, and escapes that could hide them.
var said = regexp.MustCompile(`(?i)\\|"(type|challenge|origin|crossOrigin|topOrigin)"`)

// checkClient checks what the browser says it was asked: an assertion for this challenge, on one of the key's origins, not
// inside another site's page. Browsers write these first and in this form; what they may add later must not say them
// again. Source: WebAuthn level 2, 5.8.1.2 (limited verification) and 7.2.
func (k passkey) checkClient(b []byte, challenge [32]byte) error {
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
