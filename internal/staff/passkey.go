package staff

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Passkeys says for which site passkeys are, and how an authenticator's word is checked. Without an RPID there are none.
type Passkeys struct {
	RPID    string   // the host name people see; never an address
	Origins []string // of pages that may ask for them, such as https://patch.example.org
	Attest  Attester
}

// Attester checks what a browser answered to a registration with this challenge: PublicKeyCredential.toJSON() of a
// credential made for the site, with the user verified. Errors are fault.Invalid.
type Attester func(response []byte, challenge, rpID string, origins []string) (Attested, error)

// Attested is what an authenticator said of the credential it made.
type Attested struct {
	Credential     []byte // its ID
	SPKI           []byte // its public key
	AAGUID         string // the authenticator's model, as a UUID; zeros: it does not say
	Object         []byte // the attestation object, raw
	BackupEligible bool   // the key can be copied
}

// Passkey is a key that a person offers for the next trust root. It opens nothing until a trust root holds it: hosts know
// no other keys, and a server that believed some could be made to believe its own.
type Passkey struct {
	Person      string       `json:"person"`
	Name        string       `json:"name"` // as its owner calls it
	Key         envelope.Key `json:"key"`
	AAGUID      string       `json:"aaguid"`
	Attestation string       `json:"attestation"` // digest of the attestation object
	MadeAt      time.Time    `json:"made_at"`
}

// PasskeyRequest is what a page asks an authenticator for at login.
type PasskeyRequest struct {
	Challenge   []byte // SHA-256 over what a login signs
	RPID        string
	Credentials [][]byte // IDs, of the person or made up
}

// keysAsked is how many credentials a login asks for at least. Someone without passkeys, and somebody who does not exist,
// have made-up ones, always the same, so that asking tells nothing about who has one or two.
const keysAsked = 2

func (s *Staff) passkeyRequest(ctx context.Context, person, challenge string) (*PasskeyRequest, error) {
	if s.Passkeys.RPID == "" {
		return nil, nil
	}
	payload, err := EncodeLogin(person, s.Ledger.Origin, challenge)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(envelope.PAE(LoginType, payload))
	r := &PasskeyRequest{Challenge: sum[:], RPID: s.Passkeys.RPID}
	root, err := s.CurrentRoot(ctx)
	if err != nil && fault.KindOf(err) != fault.Unavailable {
		return nil, err
	}
	if err == nil {
		p, _ := root.Person(person)
		r.Credentials = credentials(p.Keys, r.RPID)
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return nil, err
	}
	for i := byte(len(r.Credentials)); i < keysAsked; i++ {
		r.Credentials = append(r.Credentials, mac(secret, []byte{i}, asPasskey, person))
	}
	return r, nil
}

// credentials gives the credential IDs of passkeys for a site.
func credentials(keys []envelope.Key, rpID string) (all [][]byte) {
	for _, k := range keys {
		text, ok := strings.CutPrefix(k.ID, passkeyPrefix)
		if id, err := base64.RawURLEncoding.DecodeString(text); ok && err == nil && k.RPID == rpID {
			all = append(all, id)
		}
	}
	return all
}

const passkeyPrefix = "webauthn:" // of key IDs; see envelope.Key

// Registration is what a page gives to navigator.credentials.create.
type Registration struct {
	Challenge string // base64url, and so it is answered
	RPID      string
	User      []byte // says nothing about the person
	Exclude   [][]byte
	ExpiresAt time.Time
}

// NewPasskey begins the registration of a passkey.
func (s *Staff) NewPasskey(ctx context.Context, session Session) (Registration, error) {
	if s.Passkeys.RPID == "" {
		return Registration{}, fault.New(fault.Conflict, "the server has no host name that passkeys could be for")
	}
	p := session.Person
	challenge, expires, err := s.challenge(ctx, toRegister, p.ID)
	if err != nil {
		return Registration{}, fmt.Errorf("begin to register passkey: %w", err)
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return Registration{}, fmt.Errorf("begin to register passkey: %w", err)
	}
	return Registration{Challenge: challenge, RPID: s.Passkeys.RPID, User: mac(secret, nil, asUser, p.ID),
		Exclude: credentials(p.Keys, s.Passkeys.RPID), ExpiresAt: expires}, nil
}

// RegisterPasskey takes the answer to a registration. What the authenticator attested is kept as a fact; nothing is
// concluded from it here. A key that can be copied is refused, because hosts would refuse what it signs.
func (s *Staff) RegisterPasskey(ctx context.Context, session Session, challenge, name string, response []byte) (Passkey, error) {
	p := Passkey{Person: session.Person.ID, Name: name, MadeAt: s.Now().UTC().Truncate(time.Microsecond)}
	expires, err := s.checkChallenge(ctx, challenge, toRegister, p.Person)
	if err != nil {
		return p, fault.New(fault.Invalid, "register passkey: %w", err)
	}
	if name == "" || len(name) > longestName {
		return p, fault.New(fault.Invalid, "register passkey: it needs a name of up to %d bytes", longestName)
	}
	a, err := s.Passkeys.Attest(response, challenge, s.Passkeys.RPID, s.Passkeys.Origins)
	if err != nil {
		return p, fmt.Errorf("register passkey: %w", err)
	}
	if p.Key, err = keyOf(a, s.Passkeys); err != nil {
		return p, fault.New(fault.Invalid, "register passkey: %w", err)
	}
	p.AAGUID = a.AAGUID
	if p.Attestation, err = blob.PutBytes(ctx, s.Blobs, a.Object); err != nil {
		return p, fmt.Errorf("register passkey: %w", err)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := once(ctx, tx, challenge, expires); err != nil {
			return fault.New(fault.Invalid, "%w", err)
		}
		if err := enabled(ctx, tx, p.Person); err != nil {
			return err
		}
		if isNew, err := savePasskey(ctx, tx, p); err != nil {
			return err
		} else if !isNew {
			return fault.New(fault.Conflict, "this passkey was registered before")
		}
		return s.act(ctx, tx, "passkey.registered", "person/"+p.Person, "person/"+p.Person, p, p.Attestation)
	})
	if err != nil {
		return p, fmt.Errorf("register passkey: %w", err)
	}
	return p, nil
}

// keyOf decides whether an attested credential can be a key of a person.
func keyOf(a Attested, site Passkeys) (envelope.Key, error) {
	k := envelope.Key{ID: passkeyPrefix + base64.RawURLEncoding.EncodeToString(a.Credential), Kind: envelope.WebAuthn,
		Public: base64.StdEncoding.EncodeToString(a.SPKI), RPID: site.RPID, Origins: site.Origins}
	if a.BackupEligible {
		return k, fault.New(fault.Invalid, "the passkey can be copied to other devices: use a security key or a device-bound passkey")
	}
	return k, k.Check()
}

// PendingKeys gives the passkeys that wait for a trust root to hold them. One that a trust root held and dropped again is
// not among them.
func (s *Staff) PendingKeys(ctx context.Context) (pending []Passkey, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		pending, err = loadPending(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pending keys: %w", err)
	}
	return pending, nil
}

// DropPasskey takes a person's own pending passkey back, by its key ID.
func (s *Staff) DropPasskey(ctx context.Context, person, key string) error {
	return s.end(ctx, "passkey", deletePasskey, person, person, key)
}
