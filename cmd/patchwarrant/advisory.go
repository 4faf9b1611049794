package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

func newAdvisoryCommand() *cobra.Command {
	return noun("advisory", "Advisories that wait for a person's word: list, review", newAdvisoryList(), newAdvisoryReview())
}

// seenForm is how an advisory is named as it was seen.
const seenForm = "SOURCE/ID@REVISION"

func newAdvisoryList() *cobra.Command {
	var limit int
	c := verb("list", "Those without a review, the longest due first, each as "+seenForm, cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (all v1.Advisories, err error) {
			return all, c.get(ctx, fmt.Sprintf("/advisories?limit=%d", limit), &all)
		}, func(w io.Writer, all v1.Advisories) {
			t := newTable("ADVISORY", "FIRST SEEN", "REVISED", "DUE", "TITLE")
			for _, a := range all.Advisories {
				title := ""
				if a.Bulletin != nil {
					title = a.Bulletin.Title
				}
				t.add(a.Source+"/"+a.ID+"@"+a.Revision[:min(len(a.Revision), intake.LeastRevision)], a.FirstAt, a.RevisedAt, a.DueAt, title)
			}
			t.print(w)
			say(w, "%d of %d that wait", len(all.Advisories), all.All)
		})
	c.Flags().IntVar(&limit, "limit", 100, "at most so many, up to 1000")
	return c
}

func newAdvisoryReview() *cobra.Command {
	var relevant, irrelevant bool
	var in intake.Review
	c := verb("review "+seenForm+"... --relevant|--irrelevant --reason TEXT", "Say of advisories, as the list gave them, whether they are relevant here: one act, one reason", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client, args []string) (done intake.Review, err error) {
			in.Relevant = relevant
			for _, arg := range args {
				source, rest, _ := strings.Cut(arg, "/")
				at := strings.LastIndexByte(rest, '@')
				if at < 1 {
					return done, fault.New(fault.Invalid, "%s: want %s, as advisory list gives it", arg, seenForm)
				}
				in.Advisories = append(in.Advisories, intake.Seen{Source: source, ID: rest[:at], Revision: rest[at+1:]})
			}
			return in, c.post(ctx, "/advisories/reviews", in, nil)
		}, func(w io.Writer, done intake.Review) {
			say(w, "reviewed: %d", len(done.Advisories))
		})
	f := c.Flags()
	f.BoolVar(&relevant, "relevant", false, "something here may be affected")
	f.BoolVar(&irrelevant, "irrelevant", false, "nothing here is")
	f.StringVar(&in.Reason, "reason", "", "why")
	c.MarkFlagsOneRequired("relevant", "irrelevant")
	c.MarkFlagsMutuallyExclusive("relevant", "irrelevant")
	c.MarkFlagRequired("reason")
	return c
}
