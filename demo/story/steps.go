package story

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// step is a line of the table at the end: what was done, and the act in the ledger that says so.
type step struct {
	what  string
	took  time.Duration
	act   string // kind of the act; empty where there is none
	on    string // its subject
	index int64
	entry string // SHA-256 of the ledger's entry
}

// take does one step, and notes the act by which it can be proved.
func (s *Story) take(ctx context.Context, what, act, on string, do func(context.Context) error) error {
	began := time.Now()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.steps = append(s.steps, step{what: what, took: time.Since(began), act: act, on: on})
	return nil
}

// cite looks up the acts of the steps taken since it was last called.
func (s *Story) cite(ctx context.Context) error {
	for i := range s.steps {
		step := &s.steps[i]
		if step.act == "" || step.entry != "" {
			continue
		}
		var acts v1.Acts
		if err := s.ask(ctx, "alice", &acts, "ledger", "list", "--kind", step.act, "--subject", step.on, "--limit", "1000"); err != nil {
			return err
		}
		if len(acts.Acts) == 0 {
			return fmt.Errorf("%s: the ledger has no act %s on %s", step.what, step.act, step.on)
		}
		last := acts.Acts[len(acts.Acts)-1]
		entry, err := envelope.Encode(last.Act)
		if err != nil {
			return err
		}
		step.index, step.entry = last.Index, envelope.Digest(entry)
	}
	return nil
}

// Table prints the steps taken, each with its evidence.
func (s *Story) Table() {
	s.chapter("What was done, and the ledger's entry that proves it")
	t := tabwriter.NewWriter(s.Say, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STEP\tTOOK\tACT\tENTRY\tSHA-256")
	for _, step := range s.steps {
		act, entry := step.act, fmt.Sprint("#", step.index)
		if act == "" {
			act, entry = "-", "-"
		}
		fmt.Fprintf(t, "%s\t%.1fs\t%s\t%s\t%s\n", step.what, step.took.Seconds(), act, entry, step.entry)
	}
	_ = t.Flush()
}
