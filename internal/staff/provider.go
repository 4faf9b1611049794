package staff

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Provider is an OpenID provider: somebody else who says who people are. What it says lets them read and propose; what
// counts is signed with keys.
type Provider interface {
	Name() string
	// Begin gives where to send the browser, and a secret for the browser to keep until Finish.
	Begin(ctx context.Context) (url, binding string, err error)
	// Finish gives the person ID that the provider names to the browser that keeps the secret, or fault.Unauthenticated.
	Finish(ctx context.Context, binding, state, code string) (person string, err error)
}

func (s *Staff) provider(name string) (Provider, error) {
	i := slices.IndexFunc(s.Providers, func(p Provider) bool { return p.Name() == name })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "no such OpenID provider is configured")
	}
	return s.Providers[i], nil
}

// BeginAt gives where to send a browser for a login at a provider, and the secret that it keeps meanwhile.
func (s *Staff) BeginAt(ctx context.Context, provider string) (url, binding string, err error) {
	p, err := s.provider(provider)
	if err != nil {
		return "", "", err
	}
	if url, binding, err = p.Begin(ctx); err != nil {
		return "", "", fmt.Errorf("begin login at %s: %w", provider, err)
	}
	return url, binding, nil
}

// LoginBy takes what a browser brings back from a provider, and gives a session of the person it names, if the trust root
// has them. It is recorded like any login.
func (s *Staff) LoginBy(ctx context.Context, provider, binding, state, code, from string) (string, Session, error) {
	p, err := s.provider(provider)
	if err != nil {
		return "", Session{}, err
	}
	root, err := s.CurrentRoot(ctx)
	if err != nil {
		return "", Session{}, err
	}
	person, err := p.Finish(ctx, binding, state, code)
	known, ok := root.Person(person)
	if err == nil && !ok {
		err = fault.New(fault.Unauthenticated, "the trust root knows nobody of the name that the provider gives")
	}
	if err != nil {
		s.slow(ctx, from, "", err)
		return "", Session{}, s.refuse(ctx, "login.refused", known.ID, from, fmt.Errorf("log in by %s: %w", provider, err))
	}
	token, kept := s.newSession(person, ByProvider, provider, from)
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := begin(ctx, tx, kept); err != nil {
			return err
		}
		return s.act(ctx, tx, "login.accepted", "person/"+person, "person/"+person, struct {
			Session  string `json:"session"`
			Provider string `json:"provider"`
			From     string `json:"from"`
		}{kept.id, provider, from})
	})
	if err != nil {
		return "", Session{}, s.refuse(ctx, "login.refused", person, from, fmt.Errorf("log in by %s: %w", provider, err))
	}
	return token, kept.open(known), nil
}
