package staff

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
)

const (
	longestToken = 90 * 24 * time.Hour
	longestName  = 100 // bytes of the name of a token or a passkey
)

// Token lets a program act for a person, within its scope and the person's roles of the moment.
type Token struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	Name      string    `json:"name"`
	Actions   []Action  `json:"actions"`
	MadeAt    time.Time `json:"made_at"`
	ExpiresAt time.Time `json:"expires_at"`
	SeenAt    time.Time `json:"seen_at"` // last use, to the minute; zero: never
}

// MakeToken gives the secret of a new token, which is not kept. Its scope is part of what the person may do and a program
// may: never to decide, to sign, or to give others leave.
func (s *Staff) MakeToken(ctx context.Context, session Session, name string, actions []Action, life time.Duration) (string, Token, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	t := Token{ID: id.New("tok", now), Person: session.Person.ID, Name: name, Actions: actions, MadeAt: now, ExpiresAt: now.Add(life)}
	if name == "" || len(name) > longestName || len(actions) == 0 || life <= 0 || life > longestToken {
		return "", t, fault.New(fault.Invalid, "make token: it needs a name of up to %d bytes, actions, and a life of up to %d days",
			longestName, longestToken/(24*time.Hour))
	}
	for i, a := range actions {
		if !Can(session.Person, a) || !slices.Contains(reach[ByToken], a) || slices.Contains(actions[:i], a) {
			return "", t, fault.New(fault.Denied, "make token: %q is said twice, not an action of a program, or not one of yours", a)
		}
	}
	secret, hash := bearer(tokenPrefix)
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := enabled(ctx, tx, t.Person); err != nil {
			return err
		}
		if err := saveToken(ctx, tx, hash, t); err != nil {
			return err
		}
		return s.act(ctx, tx, "token.made", "person/"+t.Person, "person/"+t.Person, t)
	})
	if err != nil {
		return "", t, fmt.Errorf("make token: %w", err)
	}
	return secret, t, nil
}

// Tokens gives the tokens of a person, or everyone's for an empty ID, the newest first.
func (s *Staff) Tokens(ctx context.Context, person string) (all []Token, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadTokens(ctx, tx, person, s.Now())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return all, nil
}

// EndToken revokes a token of a person by its ID.
func (s *Staff) EndToken(ctx context.Context, who, person, token string) error {
	return s.end(ctx, "token", deleteToken, who, person, token)
}
