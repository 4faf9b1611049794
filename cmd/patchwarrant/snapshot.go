package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

func newSnapshotCommand() *cobra.Command {
	return noun("snapshot", "Curated packages: propose, look at, sign", newSnapshotPropose(), newSnapshotList(), newSnapshotShow(), newSnapshotSign())
}

func newSnapshotPropose() *cobra.Command {
	var p v1.SnapshotProposal
	c := verb("propose --release NAME", "Put the accepted fixes and what they need into a snapshot", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (s v1.Snapshot, err error) {
			return s, c.post(ctx, "/snapshots", p, &s)
		}, func(w io.Writer, s v1.Snapshot) {
			showSnapshot(w, s)
			say(w, "next: others sign it with  patchwarrant snapshot sign %s", orderview.Clean(s.Record))
		})
	c.Flags().StringVar(&p.Release, "release", "", "release of the hosts, such as bookworm")
	c.Flags().StringSliceVar(&p.Decisions, "decision", nil, "only fixes that these decisions accept (default: all in force)")
	c.Flags().StringSliceVar(&p.Upstreams, "upstream", nil, "take packages from these, the first preferred (default: all)")
	c.MarkFlagRequired("release")
	return c
}

func showSnapshot(w io.Writer, s v1.Snapshot) {
	say(w, "snapshot  %s\nrecord    %s (what people sign)\nindex     %s\nauthor    %s\nmade      %s\nin force  %s", orderview.Clean(s.Snapshot),
		orderview.Clean(s.Record), orderview.Clean(s.Index), orderview.Clean(s.Author), moment(s.MadeAt), moment(s.SignedAt))
	showCurated(w, s.Packages)
	for _, sig := range s.Signatures {
		say(w, "signed    %s by %s (%s)", moment(sig.At), orderview.Clean(sig.Person), orderview.Clean(sig.Kind))
	}
}

func showCurated(w io.Writer, packages []warrant.CuratedRecord) {
	t := newTable("PACKAGE", "ARCH", "VERSION", "SHA256", "FROM", "ACCEPTED BY", "BECAUSE")
	for _, p := range packages {
		t.add(p.Name, p.Arch, p.Version, p.SHA256, p.Upstream, p.AcceptedBy, p.Because)
	}
	t.print(w)
}

func newSnapshotList() *cobra.Command {
	return verb("list", "All snapshots, newest first", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (s v1.Snapshots, err error) {
		return s, c.get(ctx, "/snapshots", &s)
	}, func(w io.Writer, s v1.Snapshots) {
		t := newTable("RECORD", "SNAPSHOT", "AUTHOR", "MADE", "IN FORCE")
		for _, s := range s.Snapshots {
			t.add(s.Record, short(s.Snapshot), s.Author, s.MadeAt, s.SignedAt)
		}
		t.print(w)
	})
}

func newSnapshotShow() *cobra.Command {
	return verb("show RECORD", "One snapshot: its packages and who let each in", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s v1.Snapshot, err error) {
			return s, c.get(ctx, "/snapshots/"+segment(args[0]), &s)
		}, showSnapshot)
}

func newSnapshotSign() *cobra.Command {
	var digest string
	c := verb("sign RECORD [--digest SHA256]", "Read a curation record from its own bytes, and sign it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s v1.Snapshot, err error) {
			path := "/snapshots/" + segment(args[0])
			if err := c.get(ctx, path, &s); err != nil {
				return s, err
			}
			record, err := warrant.DecodeRecord(s.Payload)
			if err != nil {
				return s, err
			}
			if envelope.Digest(s.Payload) != args[0] {
				return s, fault.Refuse(fault.MixMatch, "the server gave another curation record than %s", args[0])
			}
			fmt.Fprintf(os.Stderr, "CURATION RECORD sha256:%s\nsnapshot %s\nindex    %s\nauthor   %s (cannot approve it)\nmade     %s\n", args[0],
				orderview.Clean(record.Snapshot), orderview.Clean(record.Index), orderview.Clean(record.Author), moment(record.MadeAt))
			for _, u := range record.Upstreams {
				fmt.Fprintf(os.Stderr, "upstream %s of %s, release %s, signed by %s\n", orderview.Clean(u.Name), moment(u.Date), orderview.Clean(u.Release), orderview.Clean(u.Fingerprint))
			}
			showCurated(os.Stderr, record.Packages)
			if err := confirm(args[0], digest); err != nil {
				return s, err
			}
			signature, err := signAs(ctx, c, warrant.CurationType, s.Payload)
			if err != nil {
				return s, err
			}
			return s, c.post(ctx, path+"/signatures", v1.Approval{Signature: signature}, &s)
		}, func(w io.Writer, s v1.Snapshot) {
			if s.SignedAt.IsZero() {
				say(w, "signed; the quorum needs more people (%d so far)", len(s.Signatures))
				return
			}
			say(w, "signed; snapshot %s is in force\nnext: patchwarrant channel promote stage %[1]s", orderview.Clean(s.Snapshot))
		})
	c.Flags().StringVar(&digest, "digest", "", "sign without asking, if this is the SHA-256 of the record")
	return c
}

func newChannelCommand() *cobra.Command {
	list := verb("list", "All channels", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (ch v1.Channels, err error) {
		return ch, c.get(ctx, "/channels", &ch)
	}, func(w io.Writer, ch v1.Channels) { showChannels(w, ch.Channels...) })
	promote := verb("promote CHANNEL SNAPSHOT", "Point a channel at a signed snapshot", cobra.ExactArgs(2),
		func(ctx context.Context, c *client, args []string) (ch v1.Channel, err error) {
			return ch, c.post(ctx, "/channels/"+segment(args[0])+"/promotions", v1.Promotion{Snapshot: args[1]}, &ch)
		}, func(w io.Writer, ch v1.Channel) { showChannels(w, ch) })
	return noun("channel", "Channels: list, promote a snapshot", list, promote)
}

func showChannels(w io.Writer, all ...v1.Channel) {
	t := newTable("CHANNEL", "VERSION", "SNAPSHOT", "PROMOTED BY", "AT")
	for _, c := range all {
		t.add(c.Name, c.Version, c.Snapshot, c.PromotedBy, c.PromotedAt)
	}
	t.print(w)
}
