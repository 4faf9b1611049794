package story

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// reconciled is what `patchwarrant reconciliation show` prints.
type reconciled struct {
	integrity.Reconciliation
	Reports []integrity.Report `json:"reports"`
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
	for _, v := range []integrity.Verdict{integrity.AsShipped, integrity.AsStaged, integrity.Derived} {
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
	return s.take(ctx, "vulnerabilities of "+c.source+" are gone", "", "", func(ctx context.Context) error {
		var view triage.View
		if err := s.ask(ctx, "alice", &view, "vulnerability", "list", "--source", c.source); err != nil {
			return err
		}
		for _, v := range view.Rows {
			if v.Affected > 0 {
				return fmt.Errorf("%s still affects %d hosts", v.Name, v.Affected)
			}
		}
		s.say("no host is affected by any of the %d vulnerabilities of %s now", len(c.vulnerabilities), c.source)
		return nil
	})
}
