package chart

import (
	"encoding/xml"
	"errors"
	"flag"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/*.html as drawn now")

var none = math.NaN()

// TestDrawings: each kind of chart, and its edges, as it is sent.
func TestDrawings(t *testing.T) {
	months := []string{"Sep 2026", "Oct 2026", "Nov 2026"}
	lines := Chart{ID: "a", Title: "Vulnerabilities", About: "By day.", Over: "Day", Labels: []string{"1 Nov", "2 Nov", "3 Nov", "4 Nov", "5 Nov"},
		Series: []Series{{"all", "live", []float64{10, 12, none, 11, none}}, {"undecided", "warn", []float64{none, none, none, none, 4}}}}
	share := Chart{ID: "b", Title: "Coverage", About: "Share of hosts.", Over: "Day", Unit: "%", Top: 100, Labels: months, Series: []Series{{"judged", "good", []float64{99.5, 100, 97}}}}
	beside := Chart{ID: "c", Title: "Time to remediate", About: "In days.", Over: "Month", Unit: "days", Labels: months,
		Series: []Series{{"median", "live", []float64{3, none, 0.5}}, {"90 %", "quiet", []float64{11.25, none, 2}}}, Columns: []Column{{"fixed", []string{"12", "0", "3"}}}}
	stacked := Chart{ID: "d", Title: "Orders", About: "By month.", Over: "Month", Labels: months, Series: []Series{{"routine", "quiet", []float64{12000, 3, 0}}, {"emergency", "bad", []float64{1, none, 2}}}}
	hostile := Chart{ID: `"><script>`, Title: "<b>", About: "&", Over: "'", Labels: []string{"</svg>"}, Series: []Series{{"<i>", `"x`, []float64{1}}}}
	at := func(day int) time.Time { return time.Date(2026, 11, day, 6, 0, 0, 0, time.UTC) }
	line := Timeline{ID: "f", Title: "When", About: "Bars and dots.", Now: at(20), Bars: []Bar{{"first", "good", at(1), at(4)}, {"second", "bad", at(12), time.Time{}}},
		Moments: []Moment{{"decided", "live", at(2)}}}
	fresh := Timeline{ID: "g", Title: "<b>", Now: at(20), Bars: []Bar{{"only", "bad", at(20), time.Time{}}}}
	for name, drawn := range map[string]template.HTML{"lines": lines.Lines(), "share": share.Lines(), "beside": beside.Beside(), "stacked": stacked.Stacked(),
		"empty": Chart{ID: "e", Title: "Nothing"}.Lines(), "hostile": hostile.Stacked(), "timeline": line.Draw(), "timeline-fresh": fresh.Draw()} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(path, []byte(drawn), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v; go test ./internal/chart -update", err)
			}
			if d := cmp.Diff(string(want), string(drawn)); d != "" {
				t.Error(d)
			}
			sound(t, string(drawn))
		})
	}
}

// sound reads a drawing as XML, and finds no style and no script.
func sound(t interface{ Errorf(string, ...any) }, drawn string) {
	for d := xml.NewDecoder(strings.NewReader(drawn)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("not well formed: %v\n%s", err, drawn)
			return
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "script" || e.Name.Local == "style" {
			t.Errorf("an element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("an attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
}

// TestEveryMarkIsInside: whatever the numbers, nothing is drawn outside the plot.
func TestEveryMarkIsInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "labels")
		c := Chart{ID: "x", Title: "t", Labels: make([]string, n)}
		highest := 0.0
		for range rapid.IntRange(1, 3).Draw(t, "series") {
			s := Series{Name: "s", Tone: "bad", Values: make([]float64, n)}
			for i := range s.Values {
				s.Values[i] = float64(rapid.IntRange(0, 1_000_000_000).Draw(t, "value")) / 10
				if rapid.Bool().Draw(t, "missing") {
					s.Values[i] = none
				}
				highest = max(highest, zero(s.Values[i]))
			}
			c.Series = append(c.Series, s)
		}
		for _, drawn := range []template.HTML{c.Lines(), c.Beside(), c.Stacked()} {
			sound(t, string(drawn))
		}
		d, scale := c.plot(highest)
		if y := scale(highest); y < top-0.001 || y > top+plotHeight || len(d.Rows) < 2 || len(d.Rows) > 7 {
			t.Fatalf("%g is drawn at %g, with %d lines across", highest, y, len(d.Rows))
		}
	})
}
