package staff

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

const (
	sessionLife = 12 * time.Hour // from the login
	sessionIdle = time.Hour      // from the last use
	seenEvery   = time.Minute    // how exactly the last use is kept
)

// What a secret begins with says what it is, to people and to programs that look for leaked ones.
const (
	sessionPrefix = "pwt_"
	tokenPrefix   = "pwa_"
	linkPrefix    = "pwl_"
	invitePrefix  = "pwi_"
)

// bearer makes a secret of 256 random bits. The server keeps its hash only.
func bearer(prefix string) (secret, hash string) {
	random := make([]byte, 32)
	rand.Read(random)
	secret = prefix + base64.RawURLEncoding.EncodeToString(random)
	return secret, envelope.Digest([]byte(secret))
}

// Session is a login in force: who acts, how and with which key they came, and when it ends unless used. Of who came by
// the bootstrap link nothing is known: the person is empty. Of who was invited, only the ID is.
type Session struct {
	ID        string
	Person    trustroot.Person
	Way       Way
	KeyID     string   // ByKey only
	Actions   []Action // ByToken only: its scope
	MadeAt    time.Time
	ExpiresAt time.Time
}

// session is a login in force, as the table keeps it.
type session struct {
	token, id, person string // token: sha256 of the bearer token
	way               Way
	key, from         string
	made, seen        time.Time
}

// OpenSession is what people see of a session, their own or another's.
type OpenSession struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	Way       Way       `json:"way"`
	Key       string    `json:"key,omitempty"`
	From      string    `json:"from"`
	MadeAt    time.Time `json:"made_at"`
	SeenAt    time.Time `json:"seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Staff) newSession(person string, way Way, key, from string) (token string, kept session) {
	now := s.Now()
	token, hash := bearer(sessionPrefix)
	return token, session{token: hash, id: id.New("ses", now), person: person, way: way, key: key, from: from, made: now, seen: now}
}

// begin saves a session, unless its person is leaving.
func begin(ctx context.Context, tx *db.Tx, s session) error {
	if err := enabled(ctx, tx, s.person); err != nil {
		return err
	}
	return saveSession(ctx, tx, s)
}

// end is when a session is over if it is not used after it was last seen.
func (k session) end() time.Time {
	life := sessionLife
	if k.way == ByLink {
		life = linkLife
	}
	end := k.made.Add(life)
	if idle := k.seen.Add(sessionIdle); idle.Before(end) {
		end = idle
	}
	return end.UTC()
}

func (k session) open(p trustroot.Person) Session {
	return Session{ID: k.id, Person: p, Way: k.way, KeyID: k.key, MadeAt: k.made, ExpiresAt: k.end()}
}

var errOver = fault.New(fault.Unauthenticated, "the session is over: log in again")

// Authenticate gives the session of a bearer token: one of a login, or a program's. The person must still be in the trust
// root in force, with the key they logged in with: whoever leaves it is out at once.
func (s *Staff) Authenticate(ctx context.Context, token, from string) (Session, error) {
	return s.authenticateAs(ctx, token, from, true)
}

// AuthenticateUnattended is Authenticate for what a page asks by itself, again and again: it is no use of the session, which
// ends as if nobody were there.
func (s *Staff) AuthenticateUnattended(ctx context.Context, token, from string) (Session, error) {
	return s.authenticateAs(ctx, token, from, false)
}

func (s *Staff) authenticateAs(ctx context.Context, token, from string, attended bool) (Session, error) {
	session, err := s.authenticate(ctx, envelope.Digest([]byte(token)), strings.HasPrefix(token, tokenPrefix), attended)
	if errors.Is(err, errOver) {
		return Session{}, err // no attempt at anything
	}
	if err != nil {
		s.slow(ctx, from, "", err)
		return Session{}, s.refuse(ctx, "session.refused", session.Person.ID, from, err)
	}
	return session, nil
}

// authenticate gives at least the person's ID, where it is known, when it refuses.
func (s *Staff) authenticate(ctx context.Context, hash string, program, attended bool) (Session, error) {
	now := s.Now()
	var kept session
	var token Token
	err := s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if program {
			token, err = loadToken(ctx, tx, hash)
			kept = session{id: token.ID, person: token.Person, way: ByToken, made: token.MadeAt, seen: token.SeenAt}
			return err
		}
		kept, err = loadSession(ctx, tx, hash)
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("authenticate: %w", err)
	}
	stranger := Session{Person: trustroot.Person{ID: kept.person}}
	end := token.ExpiresAt
	if !program {
		end = kept.end()
	}
	if !now.Before(end) {
		return stranger, errOver
	}
	var p trustroot.Person
	if kept.way.first() {
		p.ID = kept.person
	} else {
		root, err := s.CurrentRoot(ctx)
		if err != nil {
			return stranger, err
		}
		if p, err = stillThere(root, kept); err != nil {
			return stranger, err
		}
	}
	if attended && now.Sub(kept.seen) >= seenEvery {
		kept.seen = now
		if err := s.DB.Write(ctx, func(tx *db.Tx) error { return seen(ctx, tx, hash, now) }); err != nil {
			return stranger, fmt.Errorf("authenticate: %w", err)
		}
	}
	open := kept.open(p)
	if program {
		open.Actions, open.ExpiresAt = token.Actions, token.ExpiresAt
	}
	return open, nil
}

// stillThere gives the person of a session as the trust root in force has them.
func stillThere(root *trustroot.Root, kept session) (trustroot.Person, error) {
	p, ok := root.Person(kept.person)
	if !ok || kept.way == ByKey && !slices.ContainsFunc(p.Keys, func(k envelope.Key) bool { return k.ID == kept.key }) {
		return p, fault.New(fault.Unauthenticated, "the trust root in force no longer knows the person or key of this session")
	}
	return p, nil
}

// Logout ends the session itself.
func (s *Staff) Logout(ctx context.Context, session Session) error {
	return s.EndSession(ctx, session.Person.ID, session.Person.ID, session.ID)
}

// Sessions gives the sessions of a person, or everyone's for an empty ID, the latest used first.
func (s *Staff) Sessions(ctx context.Context, person string) (all []OpenSession, err error) {
	now := s.Now()
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		kept, err := loadSessions(ctx, tx, person)
		for _, k := range kept {
			if end := k.end(); now.Before(end) {
				all = append(all, OpenSession{k.id, k.person, k.way, k.key, k.from, k.made.UTC(), k.seen.UTC(), end})
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return all, nil
}

// EndSession ends a session of a person by its ID.
func (s *Staff) EndSession(ctx context.Context, who, person, session string) error {
	return s.end(ctx, "session", deleteSession, who, person, session)
}

// end deletes one thing of a person and tells of it: "session.ended".
func (s *Staff) end(ctx context.Context, noun string, remove func(context.Context, *db.Tx, string, string) (bool, error), who, person, thing string) error {
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		ended, err := remove(ctx, tx, person, thing)
		if err != nil {
			return err
		}
		if !ended {
			return fault.New(fault.NotFound, "%s has no such %s", person, noun)
		}
		return s.act(ctx, tx, noun+".ended", "person/"+person, "person/"+who, map[string]string{noun: thing})
	})
	if err != nil {
		return fmt.Errorf("end %s: %w", noun, err)
	}
	return nil
}
