package envelope

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Flags of a FIDO authenticator: in the signatures of sk- keys and in WebAuthn authenticator data.
const (
	userPresent    = 0x01
	userVerified   = 0x04
	backupEligible = 0x08
	backedUp       = 0x10
	extensions     = 0x80
)

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

func parseSSH(k Key) (publicKey, error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "SSH key %s: %s", k.ID, why) }
	algorithm, text, _ := strings.Cut(k.Public, " ")
	wire, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, bad("public part is not \"type base64\"")
	}
	pub, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, bad(err.Error())
	}
	switch pub.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		if pub.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey).N.BitLen() < 3072 {
			return nil, bad("RSA keys need 3072 bits or more")
		}
	default:
		return nil, bad("algorithm " + pub.Type() + " is not accepted")
	}
	if pub.Type() != algorithm || !bytes.Equal(pub.Marshal(), wire) || ssh.FingerprintSHA256(pub) != k.ID {
		return nil, bad("public part, type and fingerprint do not belong together")
	}
	return sshKey{pub}, nil
}

func (k sshKey) verify(payloadType string, payload []byte, s Signature, p *Proof) error {
	namespace := Namespace(payloadType)
	if namespace == "" {
		return fmt.Errorf("payload type %q has no namespace", payloadType)
	}
	sig, err := sshsig.ParseSignature(s.Sig)
	if err != nil {
		return err
	}
	if sig.HashAlgorithm != sshsig.HashSHA512 {
		return fmt.Errorf("hash %s is not accepted; sign with sha512", sig.HashAlgorithm)
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

// SignSSH signs with a key file's or an agent's signer; the signature is the same that `ssh-keygen -Y sign` makes over
// the PAE in the payload type's namespace.
func SignSSH(signer ssh.Signer, payloadType string, payload []byte) (Signature, error) {
	namespace := Namespace(payloadType)
	if namespace == "" {
		return Signature{}, fault.New(fault.Invalid, "sign: payload type %q has no namespace", payloadType)
	}
	sig, err := sshsig.Sign(bytes.NewReader(PAE(payloadType, payload)), signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return Signature{}, fmt.Errorf("sign %s with SSH key: %w", payloadType, err)
	}
	return Signature{KeyID: ssh.FingerprintSHA256(signer.PublicKey()), Kind: SSH, Sig: sig.Marshal()}, nil
}
