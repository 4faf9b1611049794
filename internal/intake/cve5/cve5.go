// Package cve5 reads CVE records (JSON 5): the scores of their authors and of CISA, CISA's SSVC, and text. They are never used to
// say who is affected.
package cve5

import (
	"encoding/json"
	"io"
	"path"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// MaxDocument bounds one record, in bytes. The largest of 2024 has 1.5 MB.
const MaxDocument = 8 << 20

// maxText bounds a description, in bytes.
const maxText = 1000

// IsDocument says whether a file is a record.
func IsDocument(name string) bool {
	return strings.HasPrefix(path.Base(name), "CVE-") && path.Ext(name) == ".json"
}

// container is one author's part of a record.
type container struct {
	Provider struct {
		Name string `json:"shortName"`
	} `json:"providerMetadata"`
	Descriptions []struct {
		Lang, Value string
	} `json:"descriptions"`
	Metrics []struct {
		V40   vector `json:"cvssV4_0"`
		V31   vector `json:"cvssV3_1"`
		V30   vector `json:"cvssV3_0"`
		V20   vector `json:"cvssV2_0"`
		Other struct {
			Type    string          `json:"type"`
			Content json.RawMessage `json:"content"`
		} `json:"other"`
	} `json:"metrics"`
}

type vector struct {
	Vector string `json:"vectorString"`
}

// record is a CVE record. Source: CVEProject/cve-schema 5.1.
type record struct {
	Type string `json:"dataType"`
	Meta struct {
		ID    string `json:"cveId"`
		State string `json:"state"`
	} `json:"cveMetadata"`
	Containers struct {
		CNA container   `json:"cna"`
		ADP []container `json:"adp"`
	} `json:"containers"`
}

// Parse gives a parser of one record.
func Parse(...string) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) { return parse(r) }
}

// parse reads one record; what is none is fault.Invalid. A rejected one says nothing.
func parse(r io.Reader) (intake.Reading, error) {
	var v record
	d := json.NewDecoder(r)
	if err := d.Decode(&v); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "CVE: no record, or damaged near byte %d: %w", d.InputOffset(), err)
	}
	if v.Type != "CVE_RECORD" || !strings.HasPrefix(v.Meta.ID, "CVE-") || len(v.Meta.ID) > 64 {
		return intake.Reading{}, fault.New(fault.Invalid, "CVE: the document is no CVE record")
	}
	if v.Meta.State == "REJECTED" {
		return intake.Reading{}, nil
	}
	about := &intake.About{}
	for _, c := range append([]container{v.Containers.CNA}, v.Containers.ADP...) {
		c.add(about)
	}
	return intake.Reading{Signals: []intake.Signal{{ID: v.Meta.ID, About: about}}}, nil
}

// add takes its scores, and what the record does not say yet; its author stands before others.
func (c container) add(about *intake.About) {
	for _, d := range c.Descriptions {
		if about.Text == "" && strings.HasPrefix(d.Lang, "en") {
			about.Text = intake.Clip(d.Value, maxText)
		}
	}
	author := intake.Clip(c.Provider.Name, 64)
	for _, m := range c.Metrics {
		for _, v := range []vector{m.V40, m.V31, m.V30, m.V20} {
			if score, err := intake.ReadCVSS(v.Vector, author); v.Vector != "" && err == nil && len(about.Scores) < maxScores {
				about.AddScore(*score)
				break
			}
		}
		if m.Other.Type == "ssvc" && about.SSVC == nil {
			about.SSVC = ssvc(m.Other.Content, author)
		}
	}
}

// maxScores bounds how many scores are kept of one record.
const maxScores = 8

// ssvc reads options, each an object of one member; words it does not know are left out.
func ssvc(content json.RawMessage, author string) *intake.SSVC {
	var c struct {
		Options []map[string]string `json:"options"`
	}
	if json.Unmarshal(content, &c) != nil {
		return nil
	}
	var s intake.SSVC
	for _, o := range c.Options {
		for name, value := range o {
			switch name {
			case "Exploitation":
				s.Exploitation = intake.Clip(value, 32)
			case "Automatable":
				s.Automatable = intake.Clip(value, 32)
			case "Technical Impact":
				s.Impact = intake.Clip(value, 32)
			}
		}
	}
	if s == (intake.SSVC{}) {
		return nil
	}
	s.Source = author
	return &s
}
