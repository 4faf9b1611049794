package agentapi_test

import (
	"testing"
	"time"
)

// TestThePlantedVulnerabilityTravels: from the server to a real agent, back with a check-in, through matching to a finding;
// with a new value each day. Meanwhile the host's package set stays the one it shares.
func TestThePlantedVulnerabilityTravels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	set := w.host().PackageSet
	for day := range 2 {
		check(t, w.silence.Plant(t.Context()))
		planted, err := w.silence.Canary(t.Context())
		check(t, err)
		check(t, w.once()) // is told the seed
		check(t, w.once()) // answers it
		c, err := w.silence.Canary(t.Context())
		check(t, err)
		if c.FoundAt.IsZero() || c.ID != planted.ID || w.host().PackageSet != set {
			t.Errorf("day %d: %+v, package set %s", day, c, w.host().PackageSet)
		}
		w.clock.pass(24 * time.Hour)
	}
	if w.host().ScannedAt.IsZero() {
		t.Error("the agent does not say when it looked at the files")
	}
}
