package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

func newOrderCommand() *cobra.Command {
	return noun("order", "Change orders: propose, template, look at, withdraw",
		newOrderPropose(), newOrderTemplate(), newOrderList(), newOrderShow(),
		orderWord("reject", "Say no to an order", "rejection"), orderWord("withdraw", "Take back an order of yours", "withdrawal"))
}

func newOrderPropose() *cobra.Command {
	var (
		p               v1.Proposal
		opens           string
		length          time.Duration
		vulnerabilities []string
		notices         []string
	)
	c := verb("propose --kind stage|production|back-out | --template NAME", "Work out an order: hosts, exact packages, window", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (o v1.Proposed, err error) {
			if p.Kind == "" {
				p.Kind = "stage"
				if p.Of != "" {
					p.Kind = "production"
				}
			}
			at := time.Now()
			if opens != "" {
				if at, err = time.Parse(time.RFC3339, opens); err != nil {
					return o, fault.New(fault.Invalid, "--opens: want a time such as 2026-11-26T02:00:00Z")
				}
			}
			at = at.UTC().Truncate(time.Second)
			if p.Template == "" || opens != "" {
				p.Window = warrant.Window{OpensAt: at, ClosesAt: at.Add(length)}
			}
			p.Vulnerabilities = vulnerabilities
			for _, audience := range notices {
				p.Notices = append(p.Notices, warrant.Notice{At: time.Now().UTC().Truncate(time.Second), Audience: audience})
			}
			return o, c.post(ctx, "/orders", p, &o)
		}, func(w io.Writer, o v1.Proposed) {
			say(w, "order %s, sequence %d: %s in %s, window %s to %s", orderview.Clean(o.ID), o.Sequence, orderview.Clean(o.Class),
				orderview.Clean(o.Environment), moment(o.OpensAt), moment(o.ClosesAt))
			for _, h := range o.Idle {
				say(w, "host %s needs nothing from it", orderview.Clean(h))
			}
			say(w, "next: others approve it with  patchwarrant approve %s", orderview.Clean(o.ID))
		})
	f := c.Flags()
	f.StringVar(&p.Kind, "kind", "", "stage, production or back-out")
	f.StringVar(&p.Class, "class", "", "routine or emergency, for production")
	f.StringVar(&p.Snapshot, "snapshot", "", "digest of the curated snapshot")
	f.StringVar(&p.Of, "of", "", "the stage order that a production order follows, or the order that a back-out undoes")
	f.StringSliceVar(&p.Hosts, "host", nil, "only these hosts (default: all of the environment that need it)")
	f.BoolVar(&p.Roots, "roots", false, "also in those other roots of the hosts (chroots, images) that lag behind the snapshot")
	f.StringVar(&p.Reason, "reason", "", "why")
	f.StringVar(&p.Grounds, "grounds", "", "why it is an emergency")
	f.StringVar(&p.Acknowledge, "acknowledge", "", "why what stage showed and no package explains may come to production")
	f.StringVar(&p.Plan, "plan", "", "course of action and test plan")
	f.StringVar(&p.BackOut, "back-out", "", "how to return")
	f.StringSliceVar(&vulnerabilities, "vulnerability", nil, "what it remediates, as CVE/source")
	f.StringSliceVar(&notices, "notice", nil, "audience told now")
	f.StringVar(&opens, "opens", "", "when the window opens, RFC 3339 (default: now)")
	f.DurationVar(&length, "window", 4*time.Hour, "how long the window is")
	f.StringVar(&p.Template, "template", "", "take what is left out from this template; with --of the production order, else that of stage")
	for _, name := range []string{"kind", "reason", "plan", "back-out"} {
		c.MarkFlagsOneRequired(name, "template")
	}
	return c
}

func newOrderList() *cobra.Command {
	return verb("list", "The latest orders", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (o v1.Orders, err error) {
		return o, c.get(ctx, "/orders", &o)
	}, func(w io.Writer, o v1.Orders) {
		t := newTable("ORDER", "SEQ", "KIND", "CLASS", "STATE", "AUTHOR", "OPENS", "REASON")
		for _, o := range o.Orders {
			t.add(o.ID, o.Sequence, o.Kind, o.Class, o.State, o.Author, o.OpensAt, o.Reason)
		}
		t.print(w)
	})
}

// orderState is an order and how far it is on its hosts.
type orderState struct {
	v1.Order
	Rollout *v1.Rollout `json:"rollout,omitempty"`
}

func newOrderShow() *cobra.Command {
	return verb("show ORDER", "One order whole, its approvals and its runs", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (o orderState, err error) {
			path := "/orders/" + segment(args[0])
			if err := c.get(ctx, path, &o.Order); err != nil {
				return o, err
			}
			var r v1.Rollout
			switch err := c.get(ctx, path+"/rollout", &r); {
			case err == nil:
				o.Rollout = &r
			case fault.KindOf(err) != fault.NotFound:
				return o, err
			}
			return o, nil
		}, func(w io.Writer, o orderState) {
			text, err := orderview.Render(o.Payload, time.Local)
			if err != nil {
				text = "the server's payload cannot be read: " + err.Error() + "\n"
			}
			fmt.Fprint(w, text)
			say(w, "\nstate          %s", orderview.Clean(o.State))
			for _, s := range o.Signatures {
				say(w, "approved       %s by %s (%s)", moment(s.At), orderview.Clean(s.Person), orderview.Clean(s.Kind))
			}
			for _, word := range [][2]string{{"manifest", o.Manifest}, {"reconciliation", o.Result}} {
				if word[1] != "" {
					say(w, "%-14s %s", word[0], orderview.Clean(word[1]))
				}
			}
			if o.Rollout != nil {
				t := newTable("HOST", "WAVE", "STATE", "CODE", "OFFERED", "BEGUN", "ENDED")
				for _, r := range o.Rollout.Runs {
					t.add(r.Host, r.Wave, r.State, r.Code, r.OfferedAt, r.BegunAt, r.EndedAt)
				}
				t.print(w)
			}
		})
}

func orderWord(use, short, path string) *cobra.Command {
	var reason string
	c := verb(use+" ORDER --reason TEXT", short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		return struct{}{}, c.post(ctx, "/orders/"+segment(args[0])+"/"+path, v1.Reason{Reason: reason}, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "done") })
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.MarkFlagRequired("reason")
	return c
}

func newApproveCommand() *cobra.Command {
	var digest string
	c := verb("approve ORDER [--digest SHA256]", "Read an order from its own bytes, and sign it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (v1.Order, error) {
			return approve(ctx, c, args[0], digest)
		},
		func(w io.Writer, o v1.Order) {
			say(w, "order %s is %s; %d approvals", orderview.Clean(o.ID), orderview.Clean(o.State), len(o.Signatures))
			say(w, "how it goes on: patchwarrant order show %s", orderview.Clean(o.ID))
		})
	c.Flags().StringVar(&digest, "digest", "", "sign without asking, if this is the SHA-256 of the payload")
	return c
}

// approve shows an order rendered from the bytes that are signed, asks, signs, and hands the signature in. What the
// server says about the order besides is not shown.
func approve(ctx context.Context, c *client, order, digest string) (v1.Order, error) {
	var o v1.Order
	path := "/orders/" + segment(order)
	if err := c.get(ctx, path, &o); err != nil {
		return o, err
	}
	text, err := orderview.Render(o.Payload, time.Local)
	if err != nil {
		return o, err
	}
	signed, err := warrant.DecodeOrder(o.Payload)
	if err != nil {
		return o, err
	}
	if signed.ID != order {
		return o, fault.Refuse(fault.MixMatch, "the server gave order %s when asked for %s", orderview.Clean(signed.ID), order)
	}
	fmt.Fprint(os.Stderr, text, "\n")
	if err := confirm(envelope.Digest(o.Payload), digest); err != nil {
		return o, err
	}
	s, err := signAs(ctx, c, warrant.OrderType, o.Payload)
	if err != nil {
		return o, err
	}
	return o, c.post(ctx, path+"/signatures", v1.Approval{Signature: s}, &o)
}

// confirm asks for the end of the digest, or compares with the one given beforehand.
func confirm(actual, given string) error {
	if given != "" {
		if given != actual {
			return fault.New(fault.Conflict, "the payload's SHA-256 is %s, not the one you gave: nothing was signed", actual)
		}
		return nil
	}
	fmt.Fprintf(os.Stderr, "To sign exactly this, type the last six characters of sha256:%s: ", actual)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fault.New(fault.Invalid, "no answer: nothing was signed (scripts give --digest)")
	}
	if strings.TrimSpace(answer) != actual[len(actual)-6:] {
		return fault.New(fault.Invalid, "that is not it: nothing was signed")
	}
	return nil
}

// signAs signs with a key that the trust root in force gives the session's person.
func signAs(ctx context.Context, c *client, payloadType string, payload []byte) (envelope.Signature, error) {
	var none envelope.Signature
	var roots v1.TrustRoots
	if err := c.get(ctx, "/trust-roots", &roots); err != nil {
		return none, err
	}
	if len(roots.Roots) == 0 {
		return none, fault.New(fault.Unavailable, "the server has no trust root")
	}
	root, err := trustroot.Decode(roots.Roots[len(roots.Roots)-1].Payload)
	if err != nil {
		return none, err
	}
	person, ok := root.Person(c.Person)
	if !ok {
		return none, fault.New(fault.Denied, "trust root version %d has no person %s", root.Version, c.Person)
	}
	available, err := signers(c.Key)
	if err != nil {
		return none, err
	}
	return sign(available, person.Keys, payloadType, payload)
}
