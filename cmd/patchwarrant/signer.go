package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// signers gives the keys a person can sign with here: the private key file if one is named, else those of ssh-agent.
// Private keys with a passphrase, and FIDO keys, are used through ssh-agent.
func signers(keyFile string) ([]ssh.Signer, error) {
	if keyFile != "" {
		s, err := signerFromFile(keyFile)
		if err != nil {
			return nil, err
		}
		return []ssh.Signer{s}, nil
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, fault.New(fault.Invalid, "no key to sign with: start ssh-agent and add your key, or name a key file with --key")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fault.New(fault.Invalid, "reach ssh-agent: %w", err)
	}
	found, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fault.New(fault.Invalid, "ask ssh-agent for its keys: %w", err)
	}
	if len(found) == 0 {
		return nil, fault.New(fault.Invalid, "ssh-agent holds no key: add yours with ssh-add")
	}
	return found, nil
}

// private refuses a file of a secret that others can read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fault.New(fault.Invalid, "read secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Invalid, "%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	return nil
}

func signerFromFile(path string) (ssh.Signer, error) {
	if err := private(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read key: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	s, err := ssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, fault.New(fault.Invalid, "key %s has a passphrase: add it to ssh-agent and leave --key out", path)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "key %s is not an SSH private key", path)
	}
	return s, nil
}

// sign signs a payload with the first of the signers whose public key is among the wanted ones.
func sign(available []ssh.Signer, wanted []envelope.Key, payloadType string, payload []byte) (envelope.Signature, error) {
	for _, s := range available {
		fingerprint := ssh.FingerprintSHA256(s.PublicKey())
		for _, k := range wanted {
			if k.Kind == envelope.SSH && k.ID == fingerprint {
				return sshkey.Sign(s, payloadType, payload)
			}
		}
	}
	return envelope.Signature{}, fault.New(fault.Denied, "none of your %d keys is in the trust root for this person", len(available))
}
