// Package oidc asks an OpenID provider who a person is: authorization code flow with PKCE, state and nonce.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Config names a provider and how it names people.
type Config struct {
	Name         string
	Issuer       string // https URL
	ClientID     string
	ClientSecret string
	Claim        string // of the ID token, whose value is the person's ID in the trust root; "email" must be verified
	RedirectURL  string // the page of ours that the browser comes back to
	Client       *http.Client
	Now          func() time.Time
}

// Provider implements staff.Provider. It keeps nothing between Begin and Finish: state, nonce and PKCE verifier all come
// from the secret that the browser keeps.
type Provider struct {
	Config
	mu    sync.Mutex
	found *oidc.Provider // after discovery
}

// New makes a provider; it is looked up when it is first needed.
func New(c Config) *Provider { return &Provider{Config: c} }

// Name implements staff.Provider.
func (p *Provider) Name() string { return p.Config.Name }

// derive gives one of the values that only the keeper of the secret can make.
func derive(purpose, binding string) string {
	sum := sha256.Sum256([]byte(purpose + "\x00" + binding))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Begin implements staff.Provider.
func (p *Provider) Begin(ctx context.Context) (url, binding string, err error) {
	c, err := p.oauth(ctx)
	if err != nil {
		return "", "", err
	}
	random := make([]byte, 32)
	rand.Read(random)
	binding = base64.RawURLEncoding.EncodeToString(random)
	return c.AuthCodeURL(derive("state", binding), oidc.Nonce(derive("nonce", binding)), oauth2.S256ChallengeOption(derive("verifier", binding))),
		binding, nil
}

// Finish implements staff.Provider.
func (p *Provider) Finish(ctx context.Context, binding, state, code string) (person string, err error) {
	if len(binding) != 43 || subtle.ConstantTimeCompare([]byte(state), []byte(derive("state", binding))) != 1 {
		return "", fault.New(fault.Unauthenticated, "this login was not begun in this browser: begin again")
	}
	c, err := p.oauth(ctx)
	if err != nil {
		return "", err
	}
	ctx = oidc.ClientContext(ctx, p.Client)
	token, err := c.Exchange(ctx, code, oauth2.VerifierOption(derive("verifier", binding)))
	if err != nil {
		return "", fault.New(fault.Unauthenticated, "the provider does not know this login: begin again")
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := p.found.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.Now}).Verify(ctx, raw)
	if err != nil {
		return "", fault.New(fault.Unauthenticated, "the provider's ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(derive("nonce", binding))) != 1 {
		return "", fault.New(fault.Unauthenticated, "the provider's ID token is of another login")
	}
	return p.named(verified)
}

// named reads the claim that names the person.
func (p *Provider) named(t *oidc.IDToken) (person string, err error) {
	var claims map[string]json.RawMessage
	if err := t.Claims(&claims); err != nil {
		return "", fault.New(fault.Unauthenticated, "the provider's claims: %w", err)
	}
	if json.Unmarshal(claims[p.Claim], &person) != nil || person == "" {
		return "", fault.New(fault.Unauthenticated, "the provider's ID token has no claim %s", p.Claim)
	}
	if p.Claim == "email" && string(claims["email_verified"]) != "true" {
		return "", fault.New(fault.Unauthenticated, "the provider has not verified the mail address")
	}
	return person, nil
}

// oauth looks the provider up, once it answers.
func (p *Provider) oauth(ctx context.Context) (*oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		// The provider's keys are fetched later by what is made here: not only while this request lasts.
		found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.Client), p.Issuer)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "look up the OpenID provider: %w", err)
		}
		p.found = found
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: p.found.Endpoint(), RedirectURL: p.RedirectURL,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}, nil
}
