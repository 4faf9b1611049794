package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
)

func newHostRetire() *cobra.Command {
	var reason string
	c := verb("retire HOST --reason TEXT", "Propose to take a host out of service; others approve it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r retirement.Retirement, err error) {
			return r, c.post(ctx, "/retirements", v1.RetirementProposal{Host: args[0], Reason: reason}, &r)
		}, func(w io.Writer, r retirement.Retirement) {
			say(w, "retirement %s of %s, open until %s", orderview.Clean(r.ID), orderview.Clean(r.Name), moment(r.ExpiresAt))
			say(w, "next: others approve it with  patchwarrant host retire approve %s", orderview.Clean(r.ID))
		})
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.MarkFlagRequired("reason")
	c.AddCommand(newRetireApprove(), newRetireEnd(), newRetireList())
	return c
}

func newRetireApprove() *cobra.Command {
	var digest string
	c := verb("approve RETIREMENT [--digest SHA256]", "Read a retirement from its own bytes, and sign it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r retirement.Retirement, err error) {
			path := "/retirements/" + segment(args[0])
			if err := c.get(ctx, path, &r); err != nil {
				return r, err
			}
			d, err := retirement.Decode(r.Payload)
			if err != nil {
				return r, err
			}
			fmt.Fprintln(os.Stderr, retirementText(d))
			if err := confirm(envelope.Digest(r.Payload), digest); err != nil {
				return r, err
			}
			s, err := signAs(ctx, c, retirement.PayloadType, r.Payload)
			if err != nil {
				return r, err
			}
			return r, c.post(ctx, path+"/signatures", v1.Approval{Signature: s}, &r)
		}, func(w io.Writer, r retirement.Retirement) {
			say(w, "retirement %s is %s; %d approvals", orderview.Clean(r.ID), orderview.Clean(r.State), len(r.Signatures))
		})
	c.Flags().StringVar(&digest, "digest", "", "sign without asking, if this is the SHA-256 of the payload")
	return c
}

// retirementText is what a person reads before signing: from the bytes, with nothing that could hide in them.
func retirementText(d retirement.Document) string {
	var b strings.Builder
	for _, line := range [][2]string{{"RETIRE THE HOST", d.Name}, {"host", d.Host}, {"environment", d.Environment}, {"reason", d.Reason}, {"author", d.Author},
		{"trust root", fmt.Sprintf("version %d, sha256 %s", d.TrustRoot.Version, d.TrustRoot.SHA256)}, {"made", moment(d.MadeAt)}, {"open until", moment(d.ExpiresAt)}} {
		fmt.Fprintf(&b, "%-16s %s\n", line[0], orderview.Clean(line[1]))
	}
	b.WriteString("It counts nowhere from then on, its identity ends, its history stays.\n")
	return b.String()
}

func newRetireEnd() *cobra.Command {
	var reason string
	c := verb("end RETIREMENT --reason TEXT", "Say no to a retirement, or take your own back", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (struct{}, error) {
			return struct{}{}, c.post(ctx, "/retirements/"+segment(args[0])+"/end", v1.Reason{Reason: reason}, nil)
		}, func(w io.Writer, _ struct{}) { say(w, "done") })
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.MarkFlagRequired("reason")
	return c
}

func newRetireList() *cobra.Command {
	by := newFilter("host")
	c := verb("list [--host HOST]", "Retirements that wait for signatures, or all of a host", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (r v1.Retirements, err error) {
			return r, c.get(ctx, "/retirements"+by.query(), &r)
		}, func(w io.Writer, r v1.Retirements) {
			t := newTable("RETIREMENT", "HOST", "NAME", "STATE", "AUTHOR", "APPROVALS", "OPEN UNTIL", "REASON")
			for _, r := range r.Retirements {
				t.add(r.ID, r.Host, r.Name, r.State, r.Author, len(r.Signatures), r.ExpiresAt, r.Reason)
			}
			t.print(w)
		})
	by.flags(c)
	return c
}
