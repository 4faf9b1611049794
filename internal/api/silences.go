package api

import (
	"context"
	"net/http"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// Health says what is wrong with the server itself.
type Health interface {
	Health(ctx context.Context) (silence.Health, error)
}

// silences: what is not heard, of hosts and of the server itself.
func (d *door) silences() {
	serve(d, operation{"silences", http.MethodGet, "/silences", "Clocks of hosts that ran out, the worst first", staff.Read}, d.listSilences)
	serve(d, operation{"health", http.MethodGet, "/health", "What is wrong with the server itself", staff.Read}, d.health)
}

func (d *door) listSilences(ctx context.Context, _ staff.Session, in *Limited) (v1.Silences, error) {
	all, counts, err := d.Silence.Silences(ctx, in.Limit)
	out := v1.Silences{Silences: list(all), Counts: map[string]int{}}
	for clock, n := range counts {
		out.Counts[string(clock)] = n
	}
	return out, err
}

func (d *door) health(ctx context.Context, _ staff.Session, _ *struct{}) (silence.Health, error) {
	return d.Health.Health(ctx)
}
