package story

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// reconciled is what `patchwarrant reconciliation show` prints.
type reconciled struct {
	integrity.Reconciliation
	Reports []explain.Report `json:"reports"`
}

func (s *Story) reconciliation(ctx context.Context, order string) (string, error) {
	var r reconciled
	if err := s.ask(ctx, "alice", &r, "reconciliation", "show", order); err != nil {
		return "", err
	}
	if !r.Clean {
		return "", fmt.Errorf("order %s leaves files unexplained: %v", order, r.Counts)
	}
	var parts []string
	for _, v := range []explain.Verdict{explain.AsShipped, explain.AsStaged, explain.Derived} {
		parts = append(parts, fmt.Sprintf("%d %s", r.Counts[v], v))
	}
	return strings.Join(parts, ", "), nil
}

// Bundle is where the evidence of the first change lies.
func (s *Story) Bundle() string { return filepath.Join(s.Out, "change.bundle") }

// Root is the SHA-256 of the first trust root, which the people agreed on.
func (s *Story) Root() string { return s.root }

// Prove seals the evidence of a change into one file and verifies it offline, then sees that the vulnerabilities are gone.
func (s *Story) Prove(ctx context.Context, c *change) error {
	s.chapter("Evidence")
	err := s.take(ctx, "evidence sealed, verified offline", "evidence.sealed", "evidence/"+c.prod, func(ctx context.Context) error {
		if _, err := s.run(ctx, "alice", "bundle", c.prod, "-o", s.Bundle()); err != nil {
			return err
		}
		said, err := s.run(ctx, "", "verify", s.Bundle(), "--root", s.root)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(said)) {
			s.say("%s", strings.TrimSpace(line))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.show(ctx, "vulnerabilities of "+c.source+" are gone", "packages of prod-1", func(ctx context.Context) (string, error) {
		err := s.await(ctx, "the hosts to say what they have now", time.Minute, func(ctx context.Context) (bool, error) {
			var view triage.View
			err := s.ask(ctx, "alice", &view, "vulnerability", "list", "--source", c.source)
			return err == nil && !slices.ContainsFunc(view.Rows, func(v triage.Vulnerability) bool { return v.Affected > 0 }), err
		})
		if err != nil {
			return "", err
		}
		s.say("no host is affected by any of the %d vulnerabilities of %s now", len(c.vulnerabilities), c.source)
		prod, err := s.known(ctx, "prod-1")
		return prod.PackageSet, err
	})
}
