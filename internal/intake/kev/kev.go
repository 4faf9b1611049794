// Package kev reads CISA's catalogue of known exploited vulnerabilities (KEV) in its JSON form.
package kev

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Source is the name under which the catalogue is kept.
const Source = "cisa-kev"

// catalogue holds the fields we use. Source of the format: CISA's known_exploited_vulnerabilities_schema.json.
type catalogue struct {
	Released        string  `json:"dateReleased"`
	Count           *int    `json:"count"`
	Vulnerabilities []entry `json:"vulnerabilities"`
}

type entry struct {
	CVE        string `json:"cveID"`
	Name       string `json:"vulnerabilityName"`
	Added      string `json:"dateAdded"`
	Due        string `json:"dueDate"`
	Ransomware string `json:"knownRansomwareCampaignUse"` // Known or Unknown
}

// Parse reads the catalogue; what is not JSON, disagrees with its own count, or names no CVE is fault.Invalid.
func Parse(r io.Reader) (intake.Reading, error) {
	d := json.NewDecoder(r)
	var c catalogue
	if err := d.Decode(&c); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "KEV: the file is not the catalogue's JSON, or is truncated, near byte %d: %w",
			d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return intake.Reading{}, fault.New(fault.Invalid, "KEV: something follows the catalogue at byte %d", d.InputOffset())
	}
	if c.Count == nil || *c.Count != len(c.Vulnerabilities) || *c.Count == 0 {
		return intake.Reading{}, fault.New(fault.Invalid,
			"KEV: the catalogue holds %d vulnerabilities, which is none or not the count it gives itself", len(c.Vulnerabilities))
	}
	seen := make(map[string]bool, len(c.Vulnerabilities))
	reading := intake.Reading{Signals: make([]intake.Signal, 0, len(c.Vulnerabilities))}
	for i, v := range c.Vulnerabilities {
		if !strings.HasPrefix(v.CVE, "CVE-") || len(v.CVE) > 64 || seen[v.CVE] {
			return intake.Reading{}, fault.New(fault.Invalid, "KEV: entry %d names no CVE, or one named before", i+1)
		}
		seen[v.CVE] = true
		if !date(v.Added) || v.Due != "" && !date(v.Due) {
			return intake.Reading{}, fault.New(fault.Invalid, "KEV: %s: dateAdded or dueDate is no date YYYY-MM-DD", v.CVE)
		}
		reading.Signals = append(reading.Signals, intake.Signal{ID: v.CVE, Exploited: &intake.Exploited{
			ID: v.CVE, Name: v.Name, Since: v.Added, Due: v.Due, Ransomware: v.Ransomware == "Known"}})
	}
	if at, err := time.Parse(time.RFC3339, c.Released); err == nil {
		reading.Revised = at
	}
	return reading, nil
}

func date(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}
