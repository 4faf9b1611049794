package story

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// step is a line of the table at the end: what was done, and what proves it.
type step struct {
	what   string
	took   time.Duration
	act    string // kind of the act in the ledger; empty where no act says it
	on     string // its subject
	index  int64  // of the ledger's entry
	digest string // SHA-256 of the entry, or of what the step is about
}

// take does one step, and notes the act by which it can be proved.
func (s *Story) take(ctx context.Context, what, act, on string, do func(context.Context) error) error {
	return s.prove(ctx, step{what: what, act: act, on: on}, func(ctx context.Context) (string, error) { return "", do(ctx) })
}

// show does one step that no act of the ledger tells, but a digest that do gives.
func (s *Story) show(ctx context.Context, what, about string, do func(context.Context) (string, error)) error {
	return s.prove(ctx, step{what: what, on: about}, do)
}

func (s *Story) prove(ctx context.Context, done step, do func(context.Context) (string, error)) (err error) {
	began := time.Now()
	if done.digest, err = do(ctx); err != nil {
		return fmt.Errorf("%s: %w", done.what, err)
	}
	done.took = time.Since(began)
	s.steps = append(s.steps, done)
	return nil
}

// cite looks up the acts of the steps taken since it was last called.
func (s *Story) cite(ctx context.Context) error {
	for i := range s.steps {
		step := &s.steps[i]
		if step.digest != "" {
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
		step.index, step.digest = last.Index, envelope.Digest(entry)
	}
	return nil
}

// Table prints the steps taken, each with its evidence.
func (s *Story) Table() {
	s.chapter("What was done, and what proves it: an entry of the ledger, or a digest")
	t := tabwriter.NewWriter(s.Say, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STEP\tTOOK\tEVIDENCE\tSHA-256")
	for _, step := range s.steps {
		evidence := fmt.Sprintf("#%d %s", step.index, step.act)
		if step.act == "" {
			evidence = step.on
		}
		fmt.Fprintf(t, "%s\t%.1fs\t%s\t%s\n", step.what, step.took.Seconds(), evidence, step.digest)
	}
	_ = t.Flush()
}
