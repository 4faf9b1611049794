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
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

func newLoginCommand() *cobra.Command {
	var s session
	c := &cobra.Command{
		Use:   "login --server URL --ca SHA256 --person ID [--key FILE]",
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
			who, err := login(cmd.Context(), &s)
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
	for _, name := range []string{"server", "ca", "person"} {
		c.MarkFlagRequired(name)
	}
	return c
}

// login answers a challenge and puts the token into s.
func login(ctx context.Context, s *session) (v1.Whoami, error) {
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
	payload, err := staff.EncodeLogin(s.Person, challenge.Origin, challenge.Challenge)
	if err != nil {
		return none, err
	}
	var last error
	for _, signer := range available {
		signature, err := envelope.SignSSH(signer, staff.LoginType, payload)
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
