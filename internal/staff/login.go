package staff

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// LoginType is the payload type of what a person signs to log in.
const LoginType = "application/vnd.patchwarrant.login.v1+json"

const loginPredicate = "https://patchwarrant.org/login/v1"

// login is the predicate of a login: it is good at one server, once, within the life of its challenge.
type login struct {
	Person    string `json:"person"`
	Origin    string `json:"origin"` // of the server's ledger
	Challenge string `json:"challenge"`
}

// EncodeLogin gives the payload a person signs: that they want to log in at the server of a ledger's origin.
func EncodeLogin(person, origin, challenge string) ([]byte, error) {
	return envelope.EncodeStatement(loginPredicate, nil, login{person, origin, challenge})
}

const challengeLife = 5 * time.Minute

// What a challenge is good for, and what else the secret makes.
const (
	toLogin    = "login"
	toRegister = "register passkey"
	asUser     = "webauthn user"
	asPasskey  = "passkey of nobody"
)

// Challenge is what a login answers. It says nothing about whether the person exists, and costs the server no memory.
type Challenge struct {
	Challenge string
	Origin    string
	ExpiresAt time.Time
	Passkey   *PasskeyRequest // nil: the server has no name that passkeys could be for
}

// Challenge makes a challenge for a person.
func (s *Staff) Challenge(ctx context.Context, person string) (Challenge, error) {
	text, expires, err := s.challenge(ctx, toLogin, person)
	if err != nil {
		return Challenge{}, fmt.Errorf("make challenge: %w", err)
	}
	c := Challenge{Challenge: text, Origin: s.Ledger.Origin, ExpiresAt: expires}
	if c.Passkey, err = s.passkeyRequest(ctx, person, text); err != nil {
		return Challenge{}, fmt.Errorf("make challenge: %w", err)
	}
	return c, nil
}

// challenge makes a challenge: an expiry and random bytes, with a MAC over both, the purpose and the person.
func (s *Staff) challenge(ctx context.Context, purpose, person string) (string, time.Time, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	expires := s.Now().Add(challengeLife).UTC().Truncate(time.Second)
	b := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	random := make([]byte, 16)
	rand.Read(random)
	b = append(b, random...)
	b = append(b, mac(secret, b, purpose, person)...)
	return base64.RawURLEncoding.EncodeToString(b), expires, nil
}

// mac is over bytes of fixed length, one of our purposes, and what somebody calls a person.
func mac(secret, b []byte, purpose, person string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(b)
	h.Write([]byte(purpose + "\x00" + person))
	return h.Sum(nil)
}

// secret gives the key of the challenges' MACs, which all servers of a database share.
func (s *Staff) secret(ctx context.Context) (secret []byte, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		secret, err = loadSecret(ctx, tx)
		return err
	})
	if err != nil || secret != nil {
		return secret, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		fresh := make([]byte, 32)
		rand.Read(fresh)
		if err := keepSecret(ctx, tx, fresh); err != nil {
			return err
		}
		secret, err = loadSecret(ctx, tx)
		return err
	})
	return secret, err
}

// checkChallenge gives the expiry of a challenge that was made here for the purpose and the person, and is not over.
func (s *Staff) checkChallenge(ctx context.Context, challenge, purpose, person string) (time.Time, error) {
	const head = 8 + 16
	b, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(b) != head+sha256.Size {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is not one of this server")
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if !hmac.Equal(b[head:], mac(secret, b[:head], purpose, person)) {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is not one of this server")
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
	if !s.Now().Before(expires) {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is over: ask for another")
	}
	return expires, nil
}

// Login checks the signature by which a person answers a challenge, with an SSH key or a passkey of the trust root, and
// gives a bearer token: 256 random bits, of which the server keeps the hash. from is the address of the caller, for the
// record. Every attempt becomes an act; of many that fail in a row the first does, and then their count. Failing in a row
// costs time; a valid signature never waits.
func (s *Staff) Login(ctx context.Context, person, challenge string, sig envelope.Signature, from string) (string, Session, error) {
	known, proved, expires, err := s.prove(ctx, person, challenge, sig)
	if err != nil {
		s.slow(ctx, from, person, err)
		return "", Session{}, s.refuse(ctx, "login.refused", known.ID, from, err)
	}
	token, kept := s.newSession(person, ByKey, proved.KeyID, from)
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := once(ctx, tx, challenge, expires); err != nil {
			return err
		}
		if err := begin(ctx, tx, kept); err != nil {
			return err
		}
		return s.act(ctx, tx, "login.accepted", "person/"+person, "person/"+person, struct {
			Session  string `json:"session"`
			Key      string `json:"key"`
			Hardware bool   `json:"hardware"`
			Verified bool   `json:"user_verified"`
			From     string `json:"from"`
		}{kept.id, proved.KeyID, proved.Hardware, proved.UserVerified, from})
	})
	if err != nil {
		return "", Session{}, s.refuse(ctx, "login.refused", person, from, fmt.Errorf("log in: %w", err))
	}
	return token, kept.open(known), nil
}

// once marks a challenge as answered.
func once(ctx context.Context, tx *db.Tx, challenge string, expires time.Time) error {
	first, err := answer(ctx, tx, challenge, expires)
	if err == nil && !first {
		err = fault.New(fault.Unauthenticated, "the challenge was answered before: ask for another")
	}
	return err
}

// prove checks a login without a trace. The person is empty unless the trust root knows them.
func (s *Staff) prove(ctx context.Context, person, challenge string, sig envelope.Signature) (
	known trustroot.Person, proved envelope.Proof, expires time.Time, err error) {
	root, err := s.CurrentRoot(ctx)
	if err != nil {
		return known, proved, expires, err
	}
	refused := fault.New(fault.Unauthenticated, "the trust root knows no such person with this key")
	known, ok := root.Person(person)
	if !ok {
		return known, proved, expires, refused
	}
	if expires, err = s.checkChallenge(ctx, challenge, toLogin, person); err != nil {
		return known, proved, expires, err
	}
	i := slices.IndexFunc(known.Keys, func(k envelope.Key) bool { return k.ID == sig.KeyID })
	if i < 0 {
		return known, proved, expires, refused
	}
	payload, err := EncodeLogin(person, s.Ledger.Origin, challenge)
	if err != nil {
		return known, proved, expires, err
	}
	if proved, err = known.Keys[i].Verify(LoginType, payload, sig); err != nil {
		return known, proved, expires, fault.New(fault.Unauthenticated, "log in: %w", err)
	}
	return known, proved, expires, nil
}
