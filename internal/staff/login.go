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

const (
	challengeLife = 5 * time.Minute
	sessionLife   = 12 * time.Hour // from the login
	sessionIdle   = time.Hour      // from the last use
	seenEvery     = time.Minute    // how exactly the last use is kept
)

// Challenge is what a login answers. It says nothing about whether the person exists, and costs the server no memory.
type Challenge struct {
	Challenge string
	Origin    string
	ExpiresAt time.Time
}

// Challenge makes a challenge for a person: an expiry and random bytes, with a MAC over both and the person.
func (s *Staff) Challenge(ctx context.Context, person string) (Challenge, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return Challenge{}, fmt.Errorf("make challenge: %w", err)
	}
	expires := s.Now().Add(challengeLife).UTC().Truncate(time.Second)
	b := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	random := make([]byte, 16)
	rand.Read(random)
	b = append(b, random...)
	b = append(b, mac(secret, b, person)...)
	return Challenge{base64.RawURLEncoding.EncodeToString(b), s.Ledger.Origin, expires}, nil
}

func mac(secret, b []byte, person string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(b)
	h.Write([]byte(person))
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

// checkChallenge gives the expiry of a challenge that was made here for the person and is not over.
func (s *Staff) checkChallenge(ctx context.Context, challenge, person string) (time.Time, error) {
	const head = 8 + 16
	b, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(b) != head+sha256.Size {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is not one of this server")
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if !hmac.Equal(b[head:], mac(secret, b[:head], person)) {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is not one of this server")
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
	if !s.Now().Before(expires) {
		return time.Time{}, fault.New(fault.Unauthenticated, "the challenge is over: ask for another")
	}
	return expires, nil
}

// Session is a login in force: who acts, with which key they came, and when it ends unless used.
type Session struct {
	Person    trustroot.Person
	KeyID     string
	ExpiresAt time.Time
}

// Login checks the signature by which a person answers a challenge, and gives a bearer token: 256 random bits, of which
// the server keeps the hash. from is the address of the caller, for the record. Every attempt becomes an act; of many
// that fail in a row the first does, and then their count.
func (s *Staff) Login(ctx context.Context, person, challenge string, sig envelope.Signature, from string) (string, Session, error) {
	known, proved, expires, err := s.prove(ctx, person, challenge, sig)
	if err != nil {
		return "", Session{}, s.refuse(ctx, "login.refused", known.ID, from, err)
	}
	now := s.Now()
	random := make([]byte, 32)
	rand.Read(random)
	token := "pwt_" + base64.RawURLEncoding.EncodeToString(random)
	var first bool
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if first, err = answer(ctx, tx, challenge, expires); err != nil || !first {
			return err
		}
		if err := saveSession(ctx, tx, session{token: envelope.Digest([]byte(token)), person: person, key: proved.KeyID, made: now}); err != nil {
			return err
		}
		return s.act(ctx, tx, "login.accepted", "person/"+person, "person/"+person, struct {
			Key      string `json:"key"`
			Hardware bool   `json:"hardware"`
			Verified bool   `json:"user_verified"`
			From     string `json:"from"`
		}{proved.KeyID, proved.Hardware, proved.UserVerified, from})
	})
	if err != nil {
		return "", Session{}, fmt.Errorf("log in: %w", err)
	}
	if !first {
		err := fault.New(fault.Unauthenticated, "the challenge was answered before: ask for another")
		return "", Session{}, s.refuse(ctx, "login.refused", person, from, err)
	}
	return token, Session{known, proved.KeyID, now.Add(sessionIdle).UTC()}, nil
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
	if expires, err = s.checkChallenge(ctx, challenge, person); err != nil {
		return known, proved, expires, err
	}
	i := slices.IndexFunc(known.Keys, func(k envelope.Key) bool { return k.ID == sig.KeyID })
	if i < 0 || sig.Kind != envelope.SSH {
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

// Authenticate gives the session of a bearer token. The person must still be in the trust root in force, with the key they
// logged in with: whoever leaves it is out at once.
func (s *Staff) Authenticate(ctx context.Context, token, from string) (Session, error) {
	now := s.Now()
	var kept session
	err := s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		kept, err = loadSession(ctx, tx, envelope.Digest([]byte(token)))
		return err
	})
	if fault.KindOf(err) == fault.Unauthenticated {
		return Session{}, s.refuse(ctx, "session.refused", "", from, err)
	}
	if err != nil {
		return Session{}, fmt.Errorf("authenticate: %w", err)
	}
	if !now.Before(kept.made.Add(sessionLife)) || !now.Before(kept.seen.Add(sessionIdle)) {
		return Session{}, fault.New(fault.Unauthenticated, "the session is over: log in again")
	}
	root, err := s.CurrentRoot(ctx)
	if err != nil {
		return Session{}, err
	}
	p, ok := root.Person(kept.person)
	if !ok || !slices.ContainsFunc(p.Keys, func(k envelope.Key) bool { return k.ID == kept.key }) {
		err := fault.New(fault.Unauthenticated, "the trust root in force no longer knows the key of this session")
		return Session{}, s.refuse(ctx, "session.refused", kept.person, from, err)
	}
	if now.Sub(kept.seen) >= seenEvery {
		if err := s.DB.Write(ctx, func(tx *db.Tx) error { return seen(ctx, tx, kept.token, now) }); err != nil {
			return Session{}, fmt.Errorf("authenticate: %w", err)
		}
	}
	end := kept.made.Add(sessionLife)
	if idle := now.Add(sessionIdle); idle.Before(end) {
		end = idle
	}
	return Session{p, kept.key, end.UTC()}, nil
}

// Logout ends the session of a token.
func (s *Staff) Logout(ctx context.Context, token, person string) error {
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		ended, err := deleteSession(ctx, tx, envelope.Digest([]byte(token)))
		if err != nil || !ended {
			return err
		}
		return s.act(ctx, tx, "session.ended", "person/"+person, "person/"+person, struct{}{})
	})
	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}
