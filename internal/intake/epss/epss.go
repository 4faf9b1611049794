// Package epss reads FIRST's daily exploit prediction scores (EPSS): CSV, plain or gzip, in the layouts of 2021 until today.
package epss

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Source is the name under which the scores are kept.
const Source = "first-epss"

// maxUnpacked bounds the CSV behind a gzip file, in bytes. The file of August 2026 (360,142 scores) has 11 MB.
const maxUnpacked = 256 << 20

// Parse reads the scores: an optional comment line, the header cve,epss[,percentile], one score a line. Any other line,
// a score outside 0…1 or a CVE named twice in a row is fault.Invalid.
func Parse(r io.Reader) (intake.Reading, error) {
	plain := bufio.NewReader(r)
	if magic, err := plain.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(plain)
		if err != nil {
			return intake.Reading{}, fault.New(fault.Invalid, "EPSS: the gzip header is damaged: %w", err)
		}
		plain = bufio.NewReader(z)
	}
	lines := bufio.NewScanner(io.LimitReader(plain, maxUnpacked+1))
	var p parser
	for lines.Scan() {
		if err := p.line(lines.Text()); err != nil {
			return intake.Reading{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "EPSS: damaged or truncated after line %d: %w", p.number, err)
	}
	if p.bytes > maxUnpacked {
		return intake.Reading{}, fault.New(fault.Invalid, "EPSS: more than %d bytes unpacked", maxUnpacked)
	}
	if len(p.signals) == 0 {
		return intake.Reading{}, fault.New(fault.Invalid, "EPSS: the file holds no score")
	}
	return intake.Reading{Signals: p.signals, Revised: p.scored}, nil
}

type parser struct {
	number  int // of the line in hand
	bytes   int
	columns int // 0 before the header
	scored  time.Time
	signals []intake.Signal
}

func (p *parser) line(line string) error {
	p.number++
	p.bytes += len(line) + 1
	switch {
	case p.number == 1 && strings.HasPrefix(line, "#"):
		_, date, _ := strings.Cut(line, "score_date:")
		if at, err := time.Parse(time.DateOnly, date[:min(len(date), len(time.DateOnly))]); err == nil {
			p.scored = at
		}
		return nil
	case p.columns == 0 && line == "cve,epss,percentile":
		p.columns = 3
		return nil
	case p.columns == 0 && line == "cve,epss":
		p.columns = 2
		return nil
	case p.columns == 0:
		return fault.New(fault.Invalid, "EPSS: line %d is not the header cve,epss,percentile", p.number)
	}
	id, rest, _ := strings.Cut(line, ",")
	score, percentile, more := strings.Cut(rest, ",")
	s := intake.Signal{ID: id}
	var ok bool
	if s.Score, ok = share(score); !ok || more != (p.columns == 3) || !strings.HasPrefix(id, "CVE-") || len(id) > 64 {
		return fault.New(fault.Invalid, "EPSS: line %d is not CVE,score with %d columns", p.number, p.columns)
	}
	if more {
		if s.Percentile, ok = share(percentile); !ok {
			return fault.New(fault.Invalid, "EPSS: line %d: the percentile is no number from 0 to 1", p.number)
		}
	}
	if n := len(p.signals); n > 0 && p.signals[n-1].ID == id {
		return fault.New(fault.Invalid, "EPSS: line %d names %s again", p.number, id)
	}
	p.signals = append(p.signals, s)
	return nil
}

func share(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && f >= 0 && f <= 1
}
