// Package nvd reads what NIST's National Vulnerability Database says in the JSON of its API 2.0: scores and text. It is never
// used to say who is affected.
package nvd

import (
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// MaxDocument bounds one page of the API, or one year's file, in bytes.
const MaxDocument = 512 << 20

// maxText bounds a description, in bytes.
const maxText = 1000

// IsDocument says whether a file is a page.
func IsDocument(name string) bool { return path.Ext(name) == ".json" }

// metric is one score.
type metric struct {
	Source string `json:"source"`
	Data   struct {
		Vector string `json:"vectorString"`
	} `json:"cvssData"`
}

// record is a CVE. Source: NVD, cve_api_json_2.0.schema.
type record struct {
	CVE struct {
		ID           string `json:"id"`
		Status       string `json:"vulnStatus"`
		Descriptions []struct {
			Lang, Value string
		} `json:"descriptions"`
		Metrics struct {
			V40 []metric `json:"cvssMetricV40"`
			V31 []metric `json:"cvssMetricV31"`
			V30 []metric `json:"cvssMetricV30"`
			V2  []metric `json:"cvssMetricV2"`
		} `json:"metrics"`
	} `json:"cve"`
}

// Parse gives a parser of one page.
func Parse(...string) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) { return parse(r) }
}

// parse reads a page. A page that is truncated or is no page is fault.Invalid; a record without a CVE ID too.
func parse(r io.Reader) (intake.Reading, error) {
	var reading intake.Reading
	d := json.NewDecoder(r)
	found := false
	err := object(d, func(key string) error {
		if key != "vulnerabilities" {
			var skipped json.RawMessage
			return d.Decode(&skipped)
		}
		found = true
		return array(d, func() error {
			var v record
			if err := d.Decode(&v); err != nil {
				return err
			}
			signal, err := v.signal()
			if err == nil && signal.About != nil {
				reading.Signals = append(reading.Signals, signal)
			}
			return err
		})
	})
	if err == nil && !found {
		err = errors.New("it has no vulnerabilities")
	}
	if err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "NVD: no page of API 2.0, or damaged near byte %d: %w", d.InputOffset(), err)
	}
	return reading, nil
}

// signal takes out the scores, of each author the one in the newest version of CVSS, NVD's own before others; and the English
// text.
func (v record) signal() (intake.Signal, error) {
	c := v.CVE
	if !strings.HasPrefix(c.ID, "CVE-") || len(c.ID) > 64 {
		return intake.Signal{}, errors.New("a record names no CVE")
	}
	if c.Status == "Rejected" {
		return intake.Signal{}, nil
	}
	about := &intake.About{}
	for _, d := range c.Descriptions {
		if d.Lang == "en" {
			about.Text = intake.Clip(d.Value, maxText)
			break
		}
	}
	scored := map[string]bool{} // by author
	for _, m := range slices.Concat(c.Metrics.V40, c.Metrics.V31, c.Metrics.V30, c.Metrics.V2) {
		score, err := intake.ReadCVSS(m.Data.Vector, intake.Clip(m.Source, 64))
		if err == nil && !scored[score.Source] && len(scored) < maxScores {
			scored[score.Source] = true
			about.AddScore(*score)
		}
	}
	slices.SortStableFunc(about.Scores, func(a, b intake.CVSS) int { return own(b) - own(a) })
	return intake.Signal{ID: c.ID, About: about}, nil
}

// maxScores bounds how many authors' scores are kept of one CVE.
const maxScores = 8

func own(c intake.CVSS) int {
	if c.Source == "nvd@nist.gov" {
		return 1
	}
	return 0
}

func object(d *json.Decoder, each func(key string) error) error {
	return inside(d, '{', func() error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		return each(key)
	})
}

func array(d *json.Decoder, each func() error) error { return inside(d, '[', each) }

func inside(d *json.Decoder, open json.Delim, each func() error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != open {
		return errors.New("it has another shape")
	}
	for d.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
