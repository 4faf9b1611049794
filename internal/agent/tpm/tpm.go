// Package tpm keeps a host's key in its TPM 2.0. The key never leaves it: whoever copies the disk cannot use it elsewhere.
package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Key is an ECDSA P-256 key that one TPM can use; it is a crypto.Signer for SHA-256. Between uses nothing stays in the TPM.
type Key struct {
	device  string
	private tpm2.TPM2BPrivate // wrapped by the TPM
	public  tpm2.TPM2BPublic
	ecdsa   *ecdsa.PublicKey
}

// template is a key that signs SHA-256 digests, was made in this TPM and is bound to it. Source: TPM 2.0 Library, part 2, 8.3.
var template = tpm2.TPMTPublic{
	Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		CurveID: tpm2.TPMECCNistP256,
		Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
	}),
}

// New makes a key in the TPM at device, which is a resource manager (/dev/tpmrm0) or a socket of a TPM in software.
func New(device string) (*Key, error) {
	k := &Key{device: device}
	err := k.under(func(t transport.TPM, parent tpm2.NamedHandle) error {
		made, err := tpm2.Create{ParentHandle: parent, InPublic: tpm2.New2B(template)}.Execute(t)
		if err != nil {
			return err
		}
		k.private, k.public = made.OutPrivate, made.OutPublic
		return k.check()
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, "make a key in the TPM %s: %w", device, err)
	}
	return k, nil
}

// Parse reads what Bytes gave. Whether the TPM at device is the key's own shows when it is used.
func Parse(device string, b []byte) (*Key, error) {
	k := &Key{device: device}
	if err := k.read(b); err != nil {
		return nil, fault.New(fault.Invalid, "this is no key of a TPM: %w", err)
	}
	return k, nil
}

func (k *Key) read(b []byte) error {
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](b)
	if err != nil {
		return err
	}
	k.private = *private
	size := len(tpm2.Marshal(k.private))
	if size > len(b) { // the library reads nothing as an empty part
		return errors.New("it is cut off")
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](b[size:])
	if err != nil {
		return err
	}
	k.public = *public
	return k.check()
}

// Bytes is the key as it is kept on disk: wrapped for its TPM, then in public. It is of no use without that TPM.
func (k *Key) Bytes() []byte { return append(tpm2.Marshal(k.private), tpm2.Marshal(k.public)...) }

func (k *Key) check() error {
	area, err := k.public.Contents()
	if err != nil {
		return err
	}
	public, err := tpm2.Pub(*area)
	if err != nil {
		return err
	}
	var ok bool
	if k.ecdsa, ok = public.(*ecdsa.PublicKey); !ok {
		return errors.New("it is not of ECDSA")
	}
	return nil
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.ecdsa }

// Sign implements crypto.Signer: the TPM signs a SHA-256 digest. The randomness is the TPM's own.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, fault.New(fault.Invalid, "a key in the TPM signs SHA-256 only")
	}
	err = k.under(func(t transport.TPM, parent tpm2.NamedHandle) error {
		key, err := tpm2.Load{ParentHandle: parent, InPrivate: k.private, InPublic: k.public}.Execute(t)
		if err != nil {
			return fmt.Errorf("it does not take the key for its own: %w", err)
		}
		defer flush(t, key.ObjectHandle, &err)
		signed, err := tpm2.Sign{
			KeyHandle: tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name}, Digest: tpm2.TPM2BDigest{Buffer: digest},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(t)
		if err != nil {
			return err
		}
		parts, err := signed.Signature.Signature.ECDSA()
		if err != nil {
			return err
		}
		signature, err = asn1.Marshal(struct{ R, S *big.Int }{
			new(big.Int).SetBytes(parts.SignatureR.Buffer), new(big.Int).SetBytes(parts.SignatureS.Buffer)})
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Unavailable, "sign in the TPM %s: %w", k.device, err)
	}
	return signature, nil
}

// under opens the TPM, and gives its storage root key: the same one each time, derived from the seed that only this TPM has.
func (k *Key) under(do func(t transport.TPM, parent tpm2.NamedHandle) error) (err error) {
	t, err := open(k.device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return fmt.Errorf("its storage root key: %w", err)
	}
	defer flush(t, root.ObjectHandle, &err)
	return do(t, tpm2.NamedHandle{Handle: root.ObjectHandle, Name: root.Name})
}

func open(device string) (transport.TPMCloser, error) {
	info, err := os.Stat(device)
	if err == nil && info.Mode().Type() == fs.ModeSocket {
		return linuxudstpm.Open(device)
	}
	return linuxtpm.Open(device)
}

// flush frees the place of an object, of which a TPM has few.
func flush(t transport.TPM, h tpm2.TPMHandle, err *error) {
	_, failed := tpm2.FlushContext{FlushHandle: h}.Execute(t)
	*err = errors.Join(*err, failed)
}
