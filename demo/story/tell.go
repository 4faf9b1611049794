package story

import "context"

// Patch brings a change from the decision to production, until its order is warranted.
func (s *Story) Patch(ctx context.Context, c *change) error {
	for _, act := range []func(context.Context, *change) error{s.Curate, s.Stage, s.Order} {
		if err := act(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Tell tells the story of one change that goes well.
func (s *Story) Tell(ctx context.Context) error {
	for _, act := range []func(context.Context) error{s.Establish, s.Stock, s.Triage} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	first := s.changes[0]
	for _, act := range []func(context.Context, *change) error{s.Curate, s.Apt, s.Stage, s.Order, s.Conclude, s.Prove} {
		if err := act(ctx, first); err != nil {
			return err
		}
	}
	return s.cite(ctx)
}
