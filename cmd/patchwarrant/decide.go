package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

func newDecideCommand() *cobra.Command {
	var want v1.Draft
	var exception triage.Exception
	var until string
	c := verb("decide CVE/SOURCE... --kind KIND --reason TEXT", "Sign one decision about one vulnerability, or about many",
		cobra.RangeArgs(1, triage.MaxTogether), func(ctx context.Context, c *client, args []string) (made triage.Decided, err error) {
			if until != "" {
				if want.Until, err = time.Parse(time.RFC3339, until); err != nil {
					return made, fault.New(fault.Invalid, "--until: want a time such as 2026-12-24T12:00:00Z")
				}
			}
			if exception != (triage.Exception{}) {
				want.Exception = &exception
			}
			want.Vulnerability, want.Also = args[0], args[1:]
			return decide(ctx, c, want)
		}, func(w io.Writer, d triage.Decided) {
			for _, name := range d.About() {
				say(w, "%s  %s %s for %s", orderview.Clean(d.ID), orderview.Clean(d.Kind), orderview.Clean(name), orderview.Clean(d.Scope))
			}
			if !d.InForce {
				say(w, "it waits for a second person: patchwarrant vulnerability agree %s", orderview.Clean(d.ID))
			}
			if want.Kind == triage.Accept {
				say(w, "next: patchwarrant snapshot propose --release NAME")
			}
		})
	f := c.Flags()
	f.StringVar(&want.Kind, "kind", "", strings.Join(triage.Kinds(), ", "))
	f.StringVar(&want.Scope, "scope", triage.FleetScope, "fleet, environment/NAME, group/NAME or host/ID")
	f.StringVar(&want.Justification, "justification", "", "VEX justification, with not-affected")
	f.StringVar(&want.Reason, "reason", "", "why")
	f.StringVar(&until, "until", "", "when it is decided again, RFC 3339")
	f.StringVar(&exception.Ground, "ground", "", "with accept-risk: "+strings.Join(triage.Grounds, ", "))
	f.StringVar(&exception.Control, "control", "", "with accept-risk: the compensating control")
	f.StringVar(&exception.Owner, "owner", "", "with accept-risk: whose risk it is, a person's ID")
	f.StringVar(&exception.Plan, "plan", "", "with accept-risk: what is done instead")
	c.MarkFlagRequired("kind")
	c.MarkFlagRequired("reason")
	return c
}

// decide has the server complete the decision with its facts, checks that it says what the person wants, signs it.
func decide(ctx context.Context, c *client, want v1.Draft) (made triage.Decided, err error) {
	var draft v1.Payload
	if err := c.post(ctx, "/decisions/draft", want, &draft); err != nil {
		return made, err
	}
	d, err := triage.DecodeDecision(draft.Payload)
	if err != nil {
		return made, err
	}
	about := triage.Decision{Vulnerability: want.Vulnerability}.Together(want.Also).About()
	if !slices.Equal(d.About(), about) || d.Kind != want.Kind || d.Scope != want.Scope || d.Reason != want.Reason || d.Justification != want.Justification ||
		!sameException(d.Exception, want.Exception) || !d.Until.Equal(want.Until) || d.Person != c.Person {
		return made, fault.Refuse(fault.MixMatch, "the server's draft is not the decision you made: nothing was signed")
	}
	s, err := signAs(ctx, c, triage.DecisionType, draft.Payload)
	if err != nil {
		return made, err
	}
	return made, c.post(ctx, "/decisions", envelope.Envelope{PayloadType: triage.DecisionType, Payload: draft.Payload, Signatures: []envelope.Signature{s}}, &made)
}

func sameException(a, b *triage.Exception) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func newWaitingCommand() *cobra.Command {
	return verb("waiting", "Decisions that a second person has to agree to", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (all v1.WaitingDecisions, err error) {
			return all, c.get(ctx, "/decisions/waiting", &all)
		}, func(w io.Writer, all v1.WaitingDecisions) {
			t := newTable("DECISION", "KIND", "VULNERABILITY", "SCOPE", "BY", "WAITS UNTIL")
			for _, d := range all.Decisions {
				t.add(d.ID, d.Kind, aboutInShort(d.About()), d.Scope, d.Person, d.Until)
			}
			t.print(w)
		})
}

// aboutInShort names the first vulnerability, and how many follow.
func aboutInShort(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func newAgreeCommand() *cobra.Command {
	var digest string
	c := verb("agree DECISION [--digest SHA256]", "Read a decision from its own bytes, and sign it as the second person", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (made triage.Decided, err error) {
			path := "/decisions/waiting/" + segment(args[0])
			var waiting triage.Waiting
			if err := c.get(ctx, path, &waiting); err != nil {
				return made, err
			}
			d, err := triage.DecodeDecision(waiting.Payload)
			if err != nil {
				return made, err
			}
			if d.ID != args[0] {
				return made, fault.Refuse(fault.MixMatch, "the server gave another decision than %s", args[0])
			}
			showDecision(os.Stderr, d, envelope.Digest(waiting.Payload))
			if err := confirm(envelope.Digest(waiting.Payload), digest); err != nil {
				return made, err
			}
			s, err := signAs(ctx, c, triage.DecisionType, waiting.Payload)
			if err != nil {
				return made, err
			}
			return made, c.post(ctx, path+"/signatures", v1.Approval{Signature: s}, &made)
		}, func(w io.Writer, d triage.Decided) {
			for _, name := range d.About() {
				say(w, "%s is in force: %s %s for %s", orderview.Clean(d.ID), orderview.Clean(d.Kind), orderview.Clean(name), orderview.Clean(d.Scope))
			}
		})
	c.Flags().StringVar(&digest, "digest", "", "sign without asking, if this is the SHA-256 of the decision")
	return c
}

// showDecision prints all that a decision says.
func showDecision(w io.Writer, d triage.Decision, digest string) {
	line := func(name, text string) {
		if text != "" {
			say(w, "%-14s %s", name, orderview.Clean(text))
		}
	}
	say(w, "DECISION sha256:%s", digest)
	facts := 0
	for _, part := range d.Parts() {
		line("about", part.Vulnerability)
		facts += len(part.Facts)
	}
	line("kind", d.Kind)
	line("for", d.Scope)
	line("by", d.Person)
	line("made", moment(d.MadeAt))
	line("until", moment(d.Until))
	line("justification", d.Justification)
	if x := d.Exception; x != nil {
		line("ground", x.Ground)
		line("control", x.Control)
		line("owner", x.Owner)
		line("plan", x.Plan)
	}
	line("reason", d.Reason)
	say(w, "rests on       %d facts", facts)
}

func newRefuseCommand() *cobra.Command {
	var reason string
	c := verb("refuse DECISION --reason TEXT", "End a decision that waits", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (out struct{}, err error) {
			return out, c.post(ctx, "/decisions/waiting/"+segment(args[0])+"/refusal", v1.Refusal{Reason: reason}, nil)
		}, func(w io.Writer, _ struct{}) { say(w, "ended") })
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.MarkFlagRequired("reason")
	return c
}
