package intake_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/epss"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
)

// TestParsersReadRealFiles: every record of files as their publishers made them is understood.
func TestParsersReadRealFiles(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	cases := []struct {
		file                string
		parse               intake.Parser
		statements, signals int
	}{
		{"debian-tracker/bookworm.json", debian.Tracker("bookworm"), 26934, 0},
		{"debian-tracker/bookworm.json", debian.Tracker(), 26934 + 4386, 0},
		{"kev/known_exploited_vulnerabilities.json", kev.Parse, 0, 1404},
		{"kev/kev-2026-01-29-vulnfeed.json", kev.Parse, 0, 1500},
		{"epss/epss_scores-2026-08-16.csv.gz", epss.Parse, 0, 360142},
		{"epss/epss_scores-2023-03-07.csv.gz", epss.Parse, 0, 2},
		{"epss/epss_scores-2022-02-04.csv.gz", epss.Parse, 0, 2},
		{"epss/epss_scores-2021-04-14.csv.gz", epss.Parse, 0, 2},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			f, err := os.Open(filepath.Join(dir, c.file))
			if err != nil {
				t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
			}
			defer f.Close()
			r, err := c.parse(f)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Statements) != c.statements || len(r.Signals) != c.signals {
				t.Errorf("%d statements, %d signals; want %d and %d", len(r.Statements), len(r.Signals), c.statements, c.signals)
			}
			for _, s := range r.Statements {
				if s.Status == intake.Undetermined {
					t.Errorf("%s in %s: %s", s.ID, s.Package, s.Note)
				}
			}
		})
	}
	t.Run("records of the real tracker", func(t *testing.T) {
		f, err := os.Open(filepath.Join(dir, "debian-tracker/fixtures-real-records.json"))
		if err != nil {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		defer f.Close()
		r, err := debian.Tracker()(f)
		if err != nil {
			t.Fatal(err)
		}
		count := map[intake.Status]int{}
		for _, s := range r.Statements {
			count[s.Status]++
		}
		if count[intake.NotAffected] == 0 || count[intake.Open] == 0 || count[intake.Fixed] == 0 {
			t.Errorf("statements by status: %v", count)
		}
		t.Log(count)
	})
}
