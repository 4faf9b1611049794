package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/demo/world"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Triage waits until the archive's own changelogs have told what affects the hosts, and picks the source packages that the
// story will patch.
func (s *Story) Triage(ctx context.Context) error {
	s.chapter("What affects the hosts: the archive is the source, there is no feed")
	return s.take(ctx, "advisories read from the archive's changelogs", "source.received", "source/debian-archive", func(ctx context.Context) error {
		var view triage.View
		err := s.await(ctx, "vulnerabilities", 2*time.Minute, func(ctx context.Context) (bool, error) {
			err := s.ask(ctx, "alice", &view, "vulnerability", "list")
			return err == nil && view.Hosts == 2 && view.Vulnerabilities > 0, err
		})
		if err != nil {
			return err
		}
		s.say("%d findings on %d hosts are %d distinct vulnerabilities", view.Findings, view.Hosts, view.Vulnerabilities)
		return s.choose(ctx, view)
	})
}

// choose picks the sources of the world's outdated packages, in its order of preference, that have vulnerabilities.
func (s *Story) choose(ctx context.Context, view triage.View) error {
	for _, pair := range s.world.Pairs {
		out, err := s.hosts["prod-1"].Exec(ctx, "dpkg-query", "--show", "--showformat=${source:Package}", pair.Package)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(s.changes, func(c *change) bool { return c.source == string(out) }); i >= 0 {
			s.changes[i].pairs = append(s.changes[i].pairs, pair)
			continue
		}
		c := &change{source: string(out), pairs: []world.Pair{pair}}
		for _, v := range view.Rows {
			if v.Source == c.source && v.Affected > 0 {
				c.vulnerabilities = append(c.vulnerabilities, v)
			}
		}
		if len(c.vulnerabilities) > 0 {
			s.changes = append(s.changes, c)
			first := c.vulnerabilities[0]
			s.say("%s: %d vulnerabilities on %d hosts, such as %s, fixed in %s", c.source, len(c.vulnerabilities), first.Affected,
				first.ID, first.Releases[0].Fixed)
		}
	}
	if len(s.changes) < 2 {
		return fmt.Errorf("only %d of the outdated packages have vulnerabilities; the story needs two", len(s.changes))
	}
	return nil
}

// Curate decides to remediate a change's vulnerabilities by the patch, puts it into a snapshot that two people sign, and
// promotes that to stage.
func (s *Story) Curate(ctx context.Context, c *change) error {
	s.chapter("Decide and curate: " + c.source)
	var names []string
	for _, v := range c.vulnerabilities {
		names = append(names, v.Name)
	}
	err := s.take(ctx, "remediation of "+c.source+" decided", "decision.made", "vulnerability/"+names[0], func(ctx context.Context) error {
		var made triage.Decided
		if err := s.ask(ctx, "alice", &made, append(append([]string{"vulnerability", "decide"}, names...), "--kind", triage.Accept,
			"--reason", "Debian has fixed it; the package is in use")...); err != nil {
			return err
		}
		c.decisions = []string{made.ID}
		s.say("alice signed a decision about %d vulnerabilities: accept the vendor's patch", len(made.About()))
		return nil
	})
	if err != nil {
		return err
	}
	var snapshot v1.Snapshot
	if err := s.ask(ctx, "carol", &snapshot, "snapshot", "propose", "--release", s.world.Release.Codename,
		"--decision", strings.Join(c.decisions, ",")); err != nil {
		return err
	}
	c.snapshot = snapshot.Snapshot
	for _, p := range snapshot.Packages {
		s.say("in the snapshot: %s %s (%s, from %s)", p.Name, p.Version, p.Because, p.Upstream)
	}
	err = s.take(ctx, "snapshot of "+c.source+" signed by two", "snapshot.signed", "snapshot/"+c.snapshot, func(ctx context.Context) error {
		for _, who := range []string{"bob", "alice"} {
			if err := s.ask(ctx, who, &snapshot, "snapshot", "sign", snapshot.Record, "--digest", snapshot.Record); err != nil {
				return err
			}
			s.say("%s signed the curation record %s", who, snapshot.Record[:12])
		}
		if snapshot.SignedAt.IsZero() {
			return errors.New("two signatures are no quorum")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.promote(ctx, c, "stage")
}

func (s *Story) promote(ctx context.Context, c *change, channel string) error {
	return s.take(ctx, "snapshot promoted to "+channel, "channel.promoted", "channel/"+channel, func(ctx context.Context) error {
		var now v1.Channel
		if err := s.ask(ctx, "carol", &now, "channel", "promote", channel, c.snapshot); err != nil {
			return err
		}
		if now.Snapshot != c.snapshot {
			return fmt.Errorf("the channel has snapshot %s", now.Snapshot)
		}
		s.say("channel %s now is snapshot %s", channel, now.Snapshot[:12])
		return nil
	})
}

// Apt has the distribution's own apt, on the hub, read the stage channel: it is an ordinary signed repository.
func (s *Story) Apt(ctx context.Context, c *change) error {
	return s.take(ctx, "curated repository read by plain apt", "repository.published", "repository/stage", func(ctx context.Context) error {
		key, err := s.repositoryKey(ctx)
		if err != nil {
			return err
		}
		source := fmt.Sprintf("deb [signed-by=/etc/apt/patchwarrant.asc] http://%s/repository stage main\n", local(s.ports.repository))
		err = errors.Join(s.hub.WriteFile(ctx, "/etc/apt/patchwarrant.asc", strings.NewReader(key), 0o644),
			s.hub.WriteFile(ctx, "/etc/apt/patchwarrant.list", strings.NewReader(source), 0o644))
		if err != nil {
			return err
		}
		only := []string{"-o", "Dir::Etc::SourceList=/etc/apt/patchwarrant.list", "-o", "Dir::Etc::SourceParts=/dev/null"}
		err = s.await(ctx, "the repository", time.Minute, func(ctx context.Context) (bool, error) {
			_, err := s.hub.Exec(ctx, append(append([]string{"apt-get"}, only...), "--error-on=any", "update")...)
			return err == nil, nil
		})
		if err != nil {
			return err
		}
		out, err := s.hub.Exec(ctx, append(append([]string{"apt-get"}, only...), "--simulate", "upgrade")...)
		if err != nil {
			return err
		}
		if !strings.Contains(string(out), "\nInst ") {
			return fmt.Errorf("apt finds nothing to upgrade: %s", out)
		}
		s.say("plain apt accepts the repository and would upgrade from it")
		return nil
	})
}

// repositoryKey takes the repository's public key from the trust root.
func (s *Story) repositoryKey(ctx context.Context) (string, error) {
	var root struct {
		Repository struct {
			Keys []string `json:"keys"`
		} `json:"repository"`
	}
	if err := s.ask(ctx, "", &root, "trust-root", "show", s.dir+"/trust-root.json"); err != nil {
		return "", err
	}
	return root.Repository.Keys[0], nil
}

// orderState is what `patchwarrant order show` prints.
type orderState struct {
	v1.Order
	Rollout *v1.Rollout `json:"rollout"`
}

// propose has carol propose an order; more are the arguments that not all orders have.
func (s *Story) propose(ctx context.Context, c *change, kind string, more ...string) (v1.Proposed, error) {
	args := []string{"order", "propose", "--kind", kind, "--snapshot", c.snapshot, "--window", window.String(),
		"--reason", "security update of " + c.source, "--plan", "upgrade; compare files with the prediction", "--back-out", "order of kind back-out"}
	for _, v := range c.vulnerabilities {
		args = append(args, "--vulnerability", v.Name)
	}
	var o v1.Proposed
	if err := s.ask(ctx, "carol", &o, append(args, more...)...); err != nil {
		return o, err
	}
	s.say("carol proposed %s order %s for %s", kind, o.ID, c.source)
	return o, nil
}

// approve has people sign an order by its digest, and demands that the last signature makes it a warrant.
func (s *Story) approve(ctx context.Context, o v1.Proposed, people ...string) error {
	var now v1.Order
	for _, who := range people {
		if err := s.ask(ctx, who, &now, "approve", o.ID, "--digest", envelope.Digest(o.Payload)); err != nil {
			return err
		}
		s.say("%s approved it: %s", who, now.State)
	}
	if now.State != "warranted" {
		return fmt.Errorf("order %s is %s", o.ID, now.State)
	}
	return nil
}

// settled waits until an order has ended and gives it.
func (s *Story) settled(ctx context.Context, order string) (o orderState, err error) {
	err = s.await(ctx, "order "+order+" to end", 3*time.Minute, func(ctx context.Context) (bool, error) {
		o = orderState{}
		err := s.ask(ctx, "carol", &o, "order", "show", order)
		return err == nil && o.State != "warranted", err
	})
	return o, err
}

// Stage rolls a change out on stage and has its file changes made the manifest.
func (s *Story) Stage(ctx context.Context, c *change) error {
	s.chapter("Stage: " + c.source)
	o, err := s.propose(ctx, c, "stage")
	if err != nil {
		return err
	}
	c.stage = o.ID
	err = s.take(ctx, "stage order approved by two", "order.warranted", "order/"+c.stage, func(ctx context.Context) error {
		return s.approve(ctx, o, "bob", "alice")
	})
	if err != nil {
		return err
	}
	return s.take(ctx, "stage rolled out, manifest made", "order.closed", "order/"+c.stage, func(ctx context.Context) error {
		o, err := s.settled(ctx, c.stage)
		if err != nil {
			return err
		}
		if o.State != "closed" || o.Manifest == "" {
			return s.unexpected(ctx, o)
		}
		s.say("stage-1 is %s; manifest %s", o.Rollout.Runs[0].State, o.Manifest[:12])
		return nil
	})
}

// unexpected is an order that did not end as it should, with what is known of why.
func (s *Story) unexpected(ctx context.Context, o orderState) error {
	said, err := s.run(ctx, "carol", "reconciliation", "show", o.ID)
	if err != nil {
		said = []byte(err.Error())
	}
	return fmt.Errorf("order %s is %s, its runs %+v; %s", o.ID, o.State, o.Rollout, said)
}

// Order promotes a change to production and has it ordered there: the author's own approval is refused, two others make
// it a warrant. The window opens a moment later.
func (s *Story) Order(ctx context.Context, c *change) error {
	s.chapter("Production: " + c.source)
	if err := s.promote(ctx, c, "production"); err != nil {
		return err
	}
	opens := time.Now().Add(2 * time.Second).UTC().Format(time.RFC3339)
	o, err := s.propose(ctx, c, "production", "--class", "routine", "--of", c.stage, "--opens", opens, "--notice", "all users of prod-1")
	if err != nil {
		return err
	}
	c.prod = o.ID
	_, err = s.run(ctx, "carol", "approve", c.prod, "--digest", envelope.Digest(o.Payload))
	if err == nil || !strings.Contains(err.Error(), fault.Author) {
		return fmt.Errorf("carol approves her own order: want a refusal with %s, have %w", fault.Author, err)
	}
	s.say("carol tried to approve her own order: %s", lastWords(err))
	return s.take(ctx, "production order approved by two", "order.warranted", "order/"+c.prod, func(ctx context.Context) error {
		return s.approve(ctx, o, "dave", "bob")
	})
}

// lastWords gives what a refused command said.
func lastWords(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.said
	}
	return err.Error()
}

// Conclude waits for production, and checks that every changed file is explained.
func (s *Story) Conclude(ctx context.Context, c *change) error {
	return s.take(ctx, "production rolled out, reconciled, closed", "order.closed", "order/"+c.prod, func(ctx context.Context) error {
		o, err := s.settled(ctx, c.prod)
		if err != nil {
			return err
		}
		if o.State != "closed" {
			return s.unexpected(ctx, o)
		}
		counts, err := s.reconciliation(ctx, c.prod)
		if err != nil {
			return err
		}
		s.say("prod-1 is %s; every changed file is explained: %s", o.Rollout.Runs[0].State, counts)
		return nil
	})
}
