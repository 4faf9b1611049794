package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

func newLoginCommand() *cobra.Command {
	var s session
	var origin string
	c := &cobra.Command{
		Use:   "login --server URL --ca SHA256 --person ID [--key FILE] [--origin NAME]",
		Short: "Log in by signing the server's challenge with your SSH key",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.Key != "" {
				absolute, err := filepath.Abs(s.Key)
				if err != nil {
					return err
				}
				s.Key = absolute
			}
			var err error
			if s.Origins, err = pinnedOrigins(); err != nil {
				return err
			}
			who, err := login(cmd.Context(), &s, origin)
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "logged in as %s (%s) until %s", orderview.Clean(who.Person), orderview.Clean(strings.Join(who.Roles, ", ")), moment(who.ExpiresAt))
			return s.save()
		},
	}
	c.Flags().StringVar(&s.Server, "server", "", "https://HOST:PORT of the people's door")
	c.Flags().StringVar(&s.CA, "ca", "", "SHA-256 of the server's CA certificate, as patchwarrantd init printed it")
	c.Flags().StringVar(&s.Person, "person", "", "your ID in the trust root")
	c.Flags().StringVar(&s.Key, "key", "", "private key file (default: ssh-agent)")
	c.Flags().StringVar(&origin, "origin", "", "the server's origin, as patchwarrantd init printed it (default: what the first login at this CA found)")
	for _, name := range []string{"server", "ca", "person"} {
		c.MarkFlagRequired(name)
	}
	return c
}

// pin decides whether a login may be signed for the origin that the server at s.CA gives itself, and keeps it. A signed
// login is good at the server of its origin, so a server that borrows another's could pass it on. Given is the person's
// own word on the origin; it goes before what was kept.
func (s *session) pin(origin, given string) error {
	want, known := s.Origins[s.CA]
	if given != "" {
		want, known = given, true
	}
	if origin == "" || known && origin != want {
		return fault.New(fault.Denied, "the server calls itself %q, not %q: nothing was signed; if it is right, log in with --origin", origin, want)
	}
	kept := map[string]string{}
	for ca, name := range s.Origins {
		if name != origin || ca == s.CA {
			kept[ca] = name
		} else if given == "" {
			return fault.New(fault.Denied, "%q is the server with CA %s: nothing was signed; if it has a new CA, log in with --origin", origin, ca)
		}
	}
	kept[s.CA], s.Origins = origin, kept
	return nil
}

// login answers a challenge and puts the token into s.
func login(ctx context.Context, s *session, origin string) (v1.Whoami, error) {
	var none v1.Whoami
	c, err := newClient(*s)
	if err != nil {
		return none, err
	}
	available, err := signers(s.Key)
	if err != nil {
		return none, err
	}
	var challenge v1.Challenge
	if err := c.post(ctx, "/login/challenge", v1.Person{Person: s.Person}, &challenge); err != nil {
		return none, err
	}
	if err := s.pin(challenge.Origin, origin); err != nil {
		return none, err
	}
	payload, err := staff.EncodeLogin(s.Person, challenge.Origin, challenge.Challenge)
	if err != nil {
		return none, err
	}
	var last error
	for _, signer := range available {
		signature, err := sshkey.Sign(signer, staff.LoginType, payload)
		if err != nil {
			return none, err
		}
		var in v1.LoggedIn
		if last = c.post(ctx, "/login", v1.Login{Person: s.Person, Challenge: challenge.Challenge, Signature: signature}, &in); last == nil {
			s.Token = in.Token
			return in.Whoami, nil
		}
		if fault.KindOf(last) != fault.Unauthenticated {
			break
		}
	}
	return none, fmt.Errorf("log in as %s: %w", s.Person, last)
}

func newLogoutCommand() *cobra.Command {
	return verb("logout", "End the session", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (struct{}, error) {
		if err := c.call(ctx, http.MethodDelete, "/session", nil, nil); err != nil {
			return struct{}{}, err
		}
		c.Token = ""
		return struct{}{}, c.save()
	}, func(w io.Writer, _ struct{}) { say(w, "logged out") })
}

func newWhoamiCommand() *cobra.Command {
	return verb("whoami", "Who the session belongs to", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (who v1.Whoami, err error) {
		return who, c.get(ctx, "/whoami", &who)
	}, func(w io.Writer, who v1.Whoami) {
		say(w, "%s (%s)\nroles  %s\nkey    %s\nuntil  %s", orderview.Clean(who.Person), orderview.Clean(who.Name),
			orderview.Clean(strings.Join(who.Roles, ", ")), orderview.Clean(who.Key), moment(who.ExpiresAt))
	})
}
