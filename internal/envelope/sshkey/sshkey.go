// Package sshkey reads the SSH keys that people sign with, and signs with them. Who only verifies, as a host does, needs none of it.
package sshkey

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Read takes one authorized_keys line ("type base64 comment"). Accepted: ed25519, ecdsa, rsa from 3072 bits, and the
// hardware kinds sk-ssh-ed25519 and sk-ecdsa; no certificates, no options.
func Read(authorizedLine string) (envelope.Key, error) {
	pub, _, options, _, err := ssh.ParseAuthorizedKey([]byte(authorizedLine))
	if err != nil || len(options) > 0 {
		return envelope.Key{}, fault.New(fault.Invalid, "SSH key: want one line \"type base64 [comment]\"")
	}
	k := envelope.Key{ID: ssh.FingerprintSHA256(pub), Kind: envelope.SSH, Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))}
	return k, k.Check()
}

// Sign signs with a key file's or an agent's signer; the signature is the same that `ssh-keygen -Y sign` makes over
// the PAE in the payload type's namespace.
func Sign(signer ssh.Signer, payloadType string, payload []byte) (envelope.Signature, error) {
	sig, err := sshsig.Sign(bytes.NewReader(envelope.PAE(payloadType, payload)), signer, sshsig.HashSHA512, envelope.Namespace(payloadType))
	if err != nil {
		return envelope.Signature{}, fmt.Errorf("sign %s with SSH key: %w", payloadType, err)
	}
	return envelope.Signature{KeyID: ssh.FingerprintSHA256(signer.PublicKey()), Kind: envelope.SSH, Sig: sig.Marshal()}, nil
}
