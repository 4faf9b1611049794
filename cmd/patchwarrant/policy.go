package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/policy"
)

func newPolicyCommand() *cobra.Command {
	return noun("policy", "Limits for vulnerabilities: profiles, dry run, propose, sign, text for the CPS",
		newPolicyList(), newPolicyShow(), newPolicyTry(), newPolicyPropose(), newPolicySign(), newPolicyWithdraw(), newPolicyStatement())
}

func newPolicyList() *cobra.Command {
	return verb("list", "The policy in force, those proposed, the profiles shipped", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (p v1.Policies, err error) {
			return p, c.get(ctx, "/policies", &p)
		}, func(w io.Writer, p v1.Policies) {
			t := newTable("VERSION", "STATE", "NAME", "BY", "SIGNED BY", "SHA256")
			for _, a := range p.Policies {
				t.add(a.Version, a.State, a.Name, a.Person, len(a.Approvals), a.Digest)
			}
			t.print(w)
			if p.InForce.Version == 0 {
				say(w, "in force is profile %s as shipped: nobody has signed a policy", orderview.Clean(p.InForce.Name))
			}
			t = newTable("PROFILE", "TITLE", "RULES")
			for _, x := range p.Profiles {
				t.add(x.Name, x.Title, len(x.Rules))
			}
			t.print(w)
		})
}

// showRules prints the limits of a policy.
func showRules(w io.Writer, p policy.Policy) {
	say(w, "%s\nbasis    %s", orderview.Clean(p.Title), orderview.Clean(p.Basis))
	if p.Note != "" {
		say(w, "note     %s", orderview.Clean(p.Note))
	}
	t := newTable("CLOCK", "WITHIN", "FROM", "NAME", "CLAUSE", "WHERE", "A PLAN STOPS IT")
	for _, r := range p.Rules {
		plan := ""
		if r.PlanStops {
			plan = "yes"
		}
		t.add(r.Clock, policy.Span(r.Hours), r.From, r.Name, r.Clause, r.When, plan)
	}
	t.print(w)
}

func newPolicyShow() *cobra.Command {
	return verb("show [PROFILE]", "The policy in force, or a profile; with --json as a file to edit and propose", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client, args []string) (policy.Policy, error) {
			var all v1.Policies
			if err := c.get(ctx, "/policies", &all); err != nil || len(args) == 0 {
				return all.InForce, err
			}
			for _, p := range all.Profiles {
				if p.Name == args[0] {
					return p, nil
				}
			}
			return policy.Policy{}, fault.New(fault.NotFound, "no profile is named %q; `patchwarrant policy list` names them", args[0])
		}, showRules)
}

// readPolicy reads a policy that a person wrote, or that `policy show --json` printed.
func readPolicy(path string) (v1.Policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return v1.Policy{}, err
	}
	var p policy.Policy
	if err := json.Unmarshal(b, &p); err == nil {
		p.Version, p.Person, p.MadeAt = 0, "", time.Time{}
		p.TrustRoot.Version, p.TrustRoot.SHA256 = 0, ""
		if b, err = json.Marshal(p); err != nil {
			return v1.Policy{}, err
		}
	}
	if p, err = policy.Read(b); err != nil {
		return v1.Policy{}, fmt.Errorf("%s: %w", path, err)
	}
	return v1.Policy{Name: p.Name, Title: p.Title, Basis: p.Basis, Note: p.Note, Rules: p.Rules}, nil
}

func newPolicyTry() *cobra.Command {
	return verb("try FILE", "What a policy would do to today's clocks; nothing is kept", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (out deadline.Preview, err error) {
			p, err := readPolicy(args[0])
			if err != nil {
				return out, err
			}
			return out, c.post(ctx, "/policies/try", p, &out)
		}, func(w io.Writer, p deadline.Preview) {
			t := newTable("CLOCK", "SAME", "EARLIER", "LATER", "STARTED", "ENDED", "OVERDUE NOW", "OVERDUE THEN")
			for _, e := range p.Effects {
				t.add(e.Clock, e.Same, e.Earlier, e.Later, e.Started, e.Ended, e.OverdueNow, e.OverdueThen)
			}
			t.print(w)
			t = newTable("VULNERABILITY", "CLOCK", "DUE NOW", "DUE THEN", "BY RULE")
			for _, s := range p.Shifts {
				t.add(s.Vulnerability, s.Clock, s.Now, s.Then, s.Rule)
			}
			t.print(w)
		})
}

func newPolicyPropose() *cobra.Command {
	return verb("propose FILE", "Propose a policy, for others to sign", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (a deadline.Adoption, err error) {
			p, err := readPolicy(args[0])
			if err != nil {
				return a, err
			}
			return a, c.post(ctx, "/policies", p, &a)
		}, func(w io.Writer, a deadline.Adoption) {
			say(w, "version %d proposed\nnext: others run patchwarrant policy sign %s", a.Version, orderview.Clean(a.Digest))
		})
}

func newPolicySign() *cobra.Command {
	var digest string
	c := verb("sign SHA256 [--digest SHA256]", "Read a policy from its own bytes, and sign it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (a deadline.Adoption, err error) {
			path := "/policies/" + segment(args[0])
			if err := c.get(ctx, path, &a); err != nil {
				return a, err
			}
			if envelope.Digest(a.Payload) != args[0] {
				return a, fault.Refuse(fault.MixMatch, "the server gave another policy than %s", args[0])
			}
			p, err := policy.Decode(a.Payload)
			if err != nil {
				return a, err
			}
			fmt.Fprintf(os.Stderr, "POLICY sha256:%s\nname     %s, version %d\nauthor   %s (cannot approve it)\nmade     %s\n", args[0], orderview.Clean(p.Name), p.Version,
				orderview.Clean(p.Person), moment(p.MadeAt))
			showRules(os.Stderr, p.Policy)
			if err := confirm(args[0], digest); err != nil {
				return a, err
			}
			signature, err := signAs(ctx, c, policy.Type, a.Payload)
			if err != nil {
				return a, err
			}
			return a, c.post(ctx, path+"/signatures", v1.Approval{Signature: signature}, &a)
		}, func(w io.Writer, a deadline.Adoption) {
			if a.State != deadline.InForce {
				say(w, "signed; the quorum needs more people (%d so far)", len(a.Approvals))
				return
			}
			say(w, "signed; version %d is in force", a.Version)
		})
	c.Flags().StringVar(&digest, "digest", "", "sign without asking, if this is the SHA-256 of the policy")
	return c
}

func newPolicyWithdraw() *cobra.Command {
	return verb("withdraw SHA256", "End a proposal", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (out struct{}, err error) {
			return out, c.post(ctx, "/policies/"+segment(args[0])+"/withdrawal", nil, nil)
		}, func(w io.Writer, _ struct{}) { say(w, "withdrawn") })
}

func newPolicyStatement() *cobra.Command {
	return verb("statement", "The limits in force as text for section 6.7 of a CP or CPS", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (s v1.Statement, err error) {
			return s, c.get(ctx, "/policies/in-force/statement", &s)
		}, func(w io.Writer, s v1.Statement) { say(w, "%s", cleanLines(s.Text)) })
}

func newClockCommand() *cobra.Command {
	var overdue bool
	list := verb("list", "What must happen by when, the longest due first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (out v1.Clocks, err error) {
			if err := c.get(ctx, "/clocks", &out); err != nil || !overdue {
				return out, err
			}
			late := []deadline.Clock{}
			for _, k := range out.Clocks {
				if !k.BreachedAt.IsZero() {
					late = append(late, k)
				}
			}
			out.Clocks = late
			return out, nil
		}, func(w io.Writer, out v1.Clocks) {
			showClocks(w, out.Clocks)
			t := newTable("CLOCK", "RUNNING", "OVERDUE", "WITHIN A DAY", "STOPPED IN 90 DAYS", "OF THOSE LATE")
			for _, n := range out.Counts {
				t.add(n.Clock, n.Running, n.Overdue, n.Soon, n.Stopped, n.Late)
			}
			t.print(w)
		})
	list.Flags().BoolVar(&overdue, "overdue", false, "only those that ran out")
	return noun("clock", "Clocks of vulnerabilities: list", list)
}

func showClocks(w io.Writer, all []deadline.Clock) {
	t := newTable("DUE", "CLOCK", "VULNERABILITY", "RULE", "CLAUSE", "STATE")
	for _, k := range all {
		state := "runs"
		switch {
		case !k.Running():
			state = "stopped: " + k.Stopped
		case !k.BreachedAt.IsZero():
			state = "OVERDUE"
		}
		t.add(k.Due, k.Clock, k.Vulnerability, k.Rule, k.Clause, state)
	}
	t.print(w)
}
