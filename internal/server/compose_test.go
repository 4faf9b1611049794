package server

import (
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// TestARetiredHostHasNoPackages: a snapshot is made of what the hosts in service have, and an archive is read for them alone.
func TestARetiredHostHasNoPackages(t *testing.T) {
	s := &story{world: open(t, "")}
	s.enrol("web-1", "production")
	s.enrol("web-2", "production")
	s.ok(s.server.db.Write(t.Context(), func(tx *db.Tx) error {
		return s.server.estate.Retire(t.Context(), tx, s.hosts[0].host.ID, "ret_1", "its hall is closed")
	}))
	all, err := sets(t.Context(), s.server.estate, "bookworm")
	if err != nil || len(all) != 1 {
		t.Errorf("%d sets, %v", len(all), err)
	}
}
