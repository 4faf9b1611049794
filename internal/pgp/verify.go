// Package pgp checks and makes the OpenPGP signatures of package archives: clear-signed release files, by keys pinned by
// fingerprint.
package pgp

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds, in bytes and signatures. Debian's largest release file has 200 kB and three signatures.
const (
	maxKeyring    = 4 << 20
	maxClearText  = 16 << 20
	maxSignatures = 16
)

// Keyring holds public keys.
type Keyring struct{ entities openpgp.EntityList }

// LoadKeyring reads public keys: binary packets as in /usr/share/keyrings/*.gpg, or one or more armoured blocks. Secret keys
// are refused: a keyring is for everyone to read.
func LoadKeyring(b []byte) (*Keyring, error) {
	if len(b) > maxKeyring {
		return nil, fault.New(fault.Invalid, "the keyring is larger than %d bytes", maxKeyring)
	}
	entities, err := readEntities(b)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the keyring holds no readable OpenPGP keys: %w", err)
	}
	for _, e := range entities {
		if e.PrivateKey != nil {
			return nil, fault.New(fault.Invalid, "the keyring holds a secret key; give the public one")
		}
	}
	return &Keyring{entities}, nil
}

const armourBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

func readEntities(b []byte) (openpgp.EntityList, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN PGP ")) {
		return openpgp.ReadKeyRing(bytes.NewReader(b))
	}
	var all openpgp.EntityList
	for rest := b; len(bytes.TrimSpace(rest)) > 0; {
		block := rest
		if next := bytes.Index(rest[1:], []byte("\n"+armourBegin)); next >= 0 {
			block, rest = rest[:next+2], rest[next+2:]
		} else {
			rest = nil
		}
		entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(block))
		if err != nil {
			return nil, err
		}
		all = append(all, entities...)
	}
	return all, nil
}

// Fingerprints gives the fingerprints of the primary keys, in lower hex.
func (k *Keyring) Fingerprints() []string {
	var all []string
	for _, e := range k.entities {
		all = append(all, fingerprint(e))
	}
	return all
}

func fingerprint(e *openpgp.Entity) string { return hex.EncodeToString(e.PrimaryKey.Fingerprint) }

// NormalFingerprint reads a fingerprint as people write it: spaces and either case.
func NormalFingerprint(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, " ", ""))
}

// Signature is a good one: the fingerprint of the primary key that made it, and when, as it says itself.
type Signature struct {
	By string
	At time.Time
}

const clearsignBegin = "-----BEGIN PGP SIGNED MESSAGE-----\n"

// VerifyClearsigned checks a clear-signed document such as InRelease and gives the text that was signed and the
// signature that is good. At least one signature must be good at the time now and by a key (or a
// signing subkey of it) whose primary fingerprint is pinned; other signatures are passed over, as Debian signs with old and
// new keys together. Text outside the signed message is refused, and the text given back is exactly what was signed
// (line ends made "\n"; blanks at line ends, which no signature covers, are gone).
//
// Errors have kind Denied and the code SIGNATURE.
func VerifyClearsigned(data []byte, keys *Keyring, pinned []string, now time.Time) (text []byte, good Signature, err error) {
	if len(data) > maxClearText {
		return nil, Signature{}, fault.Refuse("SIGNATURE", "the signed document is larger than %d bytes", maxClearText)
	}
	block, rest := clearsign.Decode(data)
	if block == nil || !bytes.HasPrefix(data, []byte(clearsignBegin)) || len(bytes.TrimSpace(rest)) > 0 {
		return nil, Signature{}, fault.Refuse("SIGNATURE", "the document is not one clear-signed OpenPGP message and nothing else")
	}
	trusted := keys.pinned(pinned)
	if len(trusted) == 0 {
		return nil, Signature{}, fault.Refuse("SIGNATURE", "the keyring holds none of the pinned keys %s", strings.Join(pinned, ", "))
	}
	signatures, err := readSignatures(block.ArmoredSignature.Body)
	if err != nil {
		return nil, Signature{}, err
	}
	var problems []string
	for _, s := range signatures {
		good, err := check(s, bytes.NewReader(block.Bytes), trusted, now)
		if err == nil {
			return append(bytes.ReplaceAll(block.Bytes, []byte("\r\n"), []byte("\n")), '\n'), good, nil
		}
		problems = append(problems, err.Error())
	}
	return nil, Signature{}, fault.Refuse("SIGNATURE", "no good signature by a pinned key: %s", strings.Join(problems, "; "))
}

// VerifyDetached checks the armoured signatures that stand beside a document, as VerifyClearsigned does, and gives the
// one that is good.
func VerifyDetached(signed io.ReadSeeker, signature []byte, keys *Keyring, pinned []string, now time.Time) (good Signature, err error) {
	trusted := keys.pinned(pinned)
	if len(trusted) == 0 {
		return Signature{}, fault.Refuse(fault.BadSignature, "the keyring holds none of the pinned keys %s", strings.Join(pinned, ", "))
	}
	block, err := armor.Decode(io.LimitReader(bytes.NewReader(signature), maxClearText))
	if err != nil || block.Type != openpgp.SignatureType {
		return Signature{}, fault.Refuse(fault.BadSignature, "what stands beside the document is no armoured OpenPGP signature")
	}
	signatures, err := readSignatures(block.Body)
	if err != nil {
		return Signature{}, err
	}
	var problems []string
	for _, s := range signatures {
		if _, err := signed.Seek(0, io.SeekStart); err != nil {
			return Signature{}, err
		}
		if good, err = check(s, signed, trusted, now); err == nil {
			return good, nil
		}
		problems = append(problems, err.Error())
	}
	return Signature{}, fault.Refuse(fault.BadSignature, "no good signature by a pinned key: %s", strings.Join(problems, "; "))
}

func (k *Keyring) pinned(fingerprints []string) openpgp.EntityList {
	var trusted openpgp.EntityList
	for _, e := range k.entities {
		if slices.ContainsFunc(fingerprints, func(f string) bool { return NormalFingerprint(f) == fingerprint(e) }) {
			trusted = append(trusted, e)
		}
	}
	return trusted
}

func readSignatures(r io.Reader) ([]*packet.Signature, error) {
	packets := packet.NewReader(r)
	var all []*packet.Signature
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fault.Refuse("SIGNATURE", "the signature block is damaged: %w", err)
		}
		s, ok := p.(*packet.Signature)
		if !ok || len(all) == maxSignatures {
			return nil, fault.Refuse("SIGNATURE", "the signature block holds something else than signatures, or more than %d", maxSignatures)
		}
		all = append(all, s)
	}
}

// check verifies one signature.
func check(s *packet.Signature, signed io.Reader, trusted openpgp.EntityList, now time.Time) (Signature, error) {
	issuer := "an unnamed key"
	if s.IssuerKeyId != nil {
		issuer = fmt.Sprintf("key %016x", *s.IssuerKeyId)
	}
	if !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, s.Hash) {
		return Signature{}, fmt.Errorf("%s used the weak digest %v", issuer, s.Hash)
	}
	var one bytes.Buffer
	if err := s.Serialize(&one); err != nil {
		return Signature{}, fmt.Errorf("%s: %w", issuer, err)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	made, e, err := openpgp.VerifyDetachedSignature(trusted, signed, &one, config)
	if err != nil {
		return Signature{}, fmt.Errorf("%s: %w", issuer, err)
	}
	return Signature{fingerprint(e), made.CreationTime.UTC()}, nil
}
