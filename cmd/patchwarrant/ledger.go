package main

import (
	"context"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newLedgerCommand() *cobra.Command {
	return noun("ledger", "The record: list acts, replay the whole", newLedgerList(), newLedgerAudit())
}

func newLedgerList() *cobra.Command {
	var subject, kind string
	var from int64
	var limit int
	c := verb("list", "Acts, oldest first", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (a v1.Acts, err error) {
		q := url.Values{"from": {strconv.FormatInt(from, 10)}, "limit": {strconv.Itoa(limit)}}
		if subject != "" {
			q.Set("subject", subject)
		}
		if kind != "" {
			q.Set("kind", kind)
		}
		return a, c.get(ctx, "/acts?"+q.Encode(), &a)
	}, func(w io.Writer, a v1.Acts) {
		t := newTable("INDEX", "AT", "ACT", "SUBJECT", "WHO")
		for _, a := range a.Acts {
			t.add(a.Index, a.At, a.Kind, a.Subject, a.Who)
		}
		t.print(w)
	})
	c.Flags().StringVar(&subject, "subject", "", "only acts on this subject, such as order/ord_…")
	c.Flags().StringVar(&kind, "kind", "", "only acts whose kind begins so, such as order.")
	c.Flags().Int64Var(&from, "from", 0, "first index")
	c.Flags().IntVar(&limit, "limit", 100, "how many")
	return c
}

func newLedgerAudit() *cobra.Command {
	return verb("audit", "Replay the whole ledger; exit 1 if anything is wrong", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (a v1.Audit, err error) {
			if err := c.post(ctx, "/ledger/audits", nil, &a); err != nil {
				return a, err
			}
			if len(a.Findings) > 0 {
				return a, fault.New(fault.Internal, "the ledger of %d acts is damaged: %s", a.Size, orderview.Clean(a.Findings[0]))
			}
			return a, nil
		}, func(w io.Writer, a v1.Audit) { say(w, "%d acts replayed, root %s: whole", a.Size, a.Root) })
}
