package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

func newSessionCommand() *cobra.Command {
	return noun("session", "Logins in force: list, end",
		listed("list", "Your sessions, or everyone's", "/sessions", "/accounts/sessions", func(w io.Writer, s v1.Sessions) {
			t := newTable("SESSION", "PERSON", "BY", "KEY", "FROM", "SINCE", "LAST USED", "UNTIL")
			for _, s := range s.Sessions {
				t.add(s.ID, s.Person, s.Way, s.Key, s.From, s.MadeAt, s.SeenAt, s.ExpiresAt)
			}
			t.print(w)
		}),
		ended("end SESSION", "End a session, yours or with --person another's", "sessions"))
}

func newTokenCommand() *cobra.Command {
	return noun("token", "Tokens for programs that act for you: make, list, revoke",
		newTokenMake(),
		listed("list", "Your tokens, or everyone's", "/tokens", "/accounts/tokens", func(w io.Writer, all v1.Tokens) {
			t := newTable("TOKEN", "PERSON", "NAME", "MAY", "SINCE", "LAST USED", "UNTIL")
			for _, k := range all.Tokens {
				t.add(k.ID, k.Person, k.Name, k.Actions, k.MadeAt, k.SeenAt, k.ExpiresAt)
			}
			t.print(w)
		}),
		ended("revoke TOKEN", "Revoke a token, yours or with --person another's", "tokens"))
}

// listed is a verb that lists what one has, or with --all what everyone has.
func listed[T any](use, short, own, everyone string, show func(io.Writer, T)) *cobra.Command {
	var all bool
	c := verb(use, short, cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (out T, err error) {
		if all {
			return out, c.get(ctx, everyone, &out)
		}
		return out, c.get(ctx, own, &out)
	}, show)
	c.Flags().BoolVar(&all, "all", false, "everyone's")
	return c
}

// ended is a verb that ends one thing by its ID.
func ended(use, short, things string) *cobra.Command {
	var person string
	c := verb(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		path := "/" + things + "/" + segment(args[0])
		if person != "" {
			path = "/accounts/" + segment(person) + path
		}
		return struct{}{}, c.call(ctx, http.MethodDelete, path, nil, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "ended") })
	c.Flags().StringVar(&person, "person", "", "whose, if not yours")
	return c
}

func newTokenMake() *cobra.Command {
	var in v1.NewToken
	var actions []string
	var out string
	c := verb("make --name NAME --may ACTION,… -o FILE", "Make a token; the file is all that has its secret", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (staff.Token, error) {
			for _, a := range actions {
				in.Actions = append(in.Actions, staff.Action(a))
			}
			f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return staff.Token{}, err
			}
			var made v1.MadeToken
			if err = c.post(ctx, "/tokens", in, &made); err == nil {
				err = json.NewEncoder(f).Encode(session{Server: c.Server, CA: c.CA, Person: made.Person, Token: made.Secret})
			}
			if err = errors.Join(err, f.Close()); err != nil {
				return staff.Token{}, errors.Join(err, os.Remove(out))
			}
			return made.Token, nil
		}, func(w io.Writer, t staff.Token) {
			say(w, "token %s is in %s until %s; a program uses it with %s=%s", orderview.Clean(t.ID), out, moment(t.ExpiresAt), tokenVariable, out)
		})
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "what it is for")
	f.StringSliceVar(&actions, "may", nil, "its scope: read, propose-order, …; whoami --json lists yours")
	f.IntVar(&in.Days, "days", 30, "how long it is good, at most 90")
	f.StringVarP(&out, "output", "o", "", "file to write")
	for _, name := range []string{"name", "may", "output"} {
		c.MarkFlagRequired(name)
	}
	return c
}

func newPasskeyCommand() *cobra.Command {
	list := verb("list", "Passkeys that wait for the next trust root; people register them in a browser", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (p v1.Passkeys, err error) {
			return p, c.get(ctx, "/people/pending-keys", &p)
		}, func(w io.Writer, p v1.Passkeys) {
			t := newTable("PERSON", "KEY", "NAME", "AUTHENTICATOR", "SINCE")
			for _, k := range p.Passkeys {
				t.add(k.Person, k.Key.ID, k.Name, k.AAGUID, k.MadeAt)
			}
			t.print(w)
		})
	drop := verb("drop KEY", "Take your passkey back before a trust root holds it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (struct{}, error) {
			return struct{}{}, c.call(ctx, http.MethodDelete, "/passkeys/"+segment(args[0]), nil, nil)
		}, func(w io.Writer, _ struct{}) { say(w, "dropped") })
	return noun("passkey", "Passkeys on their way into the trust root", list, drop)
}

func newPersonCommand() *cobra.Command {
	list := verb("list", "The people, with their clocks", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (a v1.Accounts, err error) {
		return a, c.get(ctx, "/accounts", &a)
	}, func(w io.Writer, a v1.Accounts) {
		t := newTable("PERSON", "NAME", "ROLES", "KEYS", "REVIEW DUE", "STATE")
		for _, a := range a.Accounts {
			t.add(a.Person.ID, a.Person.Name, strings.Join(a.Person.Roles, " "), len(a.Person.Keys), a.ReviewDue, accountState(a))
		}
		t.print(w)
	})
	return noun("person", "People of the trust root: list, give notice that one leaves, review", list,
		reasoned("leaves PERSON --reason WHY", "Give notice that a person leaves: the account is off at once", "/notice"),
		reasoned("stays PERSON --reason WHY", "Take back a notice that was a mistake", "/notice/withdrawal"), newPersonReview())
}

func accountState(a staff.Account) string {
	var state []string
	if n := a.Notice; n != nil && n.Overdue {
		state = append(state, "leaving; the trust root is late")
	} else if n != nil {
		state = append(state, "leaving; trust root due "+moment(n.Due))
	}
	if a.ReviewOverdue {
		state = append(state, "review overdue")
	}
	return strings.Join(state, "; ")
}

// reasoned is a verb about a person that needs a reason.
func reasoned(use, short, path string) *cobra.Command {
	var in v1.Reason
	c := verb(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		return struct{}{}, c.post(ctx, "/accounts/"+segment(args[0])+path, in, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "recorded") })
	c.Flags().StringVar(&in.Reason, "reason", "", "why")
	c.MarkFlagRequired("reason")
	return c
}

func newPersonReview() *cobra.Command {
	var in v1.AccountReview
	c := verb("review PERSON --trust-root VERSION", "Say that someone else's roles and keys are right, as that version has them", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (struct{}, error) {
			return struct{}{}, c.post(ctx, "/accounts/"+segment(args[0])+"/reviews", in, nil)
		}, func(w io.Writer, _ struct{}) { say(w, "reviewed") })
	c.Flags().Int64Var(&in.TrustRoot, "trust-root", 0, "version you looked at")
	c.Flags().StringVar(&in.Comment, "comment", "", "what you found")
	c.MarkFlagRequired("trust-root")
	return c
}
