package scanner_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
)

// counter counts what a parser gives.
type counter struct {
	hosts                   map[string]scanner.Host
	rows, banners, packages int
	ids                     map[string]bool
}

func (c *counter) Host(h scanner.Host) error {
	c.hosts[h.Name] = h
	return nil
}

func (c *counter) Row(r scanner.Row) error {
	c.rows++
	if r.Banner {
		c.banners++
	}
	c.packages += len(r.Packages)
	for _, id := range r.IDs() {
		c.ids[id] = true
	}
	return nil
}

// TestReportsOfRealScanners: every record of reports as scanners made them is understood or set aside with a reason.
func TestReportsOfRealScanners(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for _, folder := range []string{"nessus", "openvas", "trivy", "grype", "cyclonedx", "qualys", "wazuh", "clair"} {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.*"))
		if err != nil || len(files) == 0 {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		for _, path := range files {
			if filepath.Base(path) == "nessus_new.csv" {
				continue // Tenable's CSV, which is no format of ours
			}
			t.Run(folder+"/"+filepath.Base(path), func(t *testing.T) {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				c := &counter{hosts: map[string]scanner.Host{}, ids: map[string]bool{}}
				r, err := scanner.Read(f, "", "", c)
				if err != nil {
					t.Fatal(err)
				}
				refused := 0
				for _, n := range r.Refused {
					refused += n
				}
				if r.Format != folder || r.Read != r.Accepted+refused || c.rows != r.Accepted {
					t.Errorf("%+v, %d rows", r, c.rows)
				}
				t.Logf("%s %s %s: read %d accepted %d refused %v; %d hosts %d ids %d packages %d banners", r.Scanner, r.Version, r.TakenAt, r.Read, r.Accepted, r.Refused,
					len(c.hosts), len(c.ids), c.packages, c.banners)
			})
		}
	}
}
