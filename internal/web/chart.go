package web

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// slice is one part of a bar. X and Width are in thousandths of the bar; charts are drawn here, in attributes only, and
// always stand beside the numbers they show.
type slice struct {
	Name, Tone string
	Count      int
	X, Width   int
}

// bar lays slices out beside each other. A slice that counts anything can be seen.
func bar(parts ...slice) []slice {
	sum, x := 0, 0
	for _, p := range parts {
		sum += p.Count
	}
	for i, p := range parts {
		if p.Count > 0 {
			parts[i].X, parts[i].Width = x, max(4, p.Count*1000/sum)
			x += parts[i].Width
		}
	}
	for i := range parts { // what rounding up took is given back
		if x > 1000 {
			parts[i].X, parts[i].Width = parts[i].X*1000/x, parts[i].Width*1000/x
		}
	}
	return parts
}

// decidedShares splits what affects the fleet by the decision in force.
func decidedShares(view triage.View) []slice {
	n := map[string]int{}
	for i := range view.Rows {
		r := &view.Rows[i]
		switch {
		case r.Affected == 0:
		case len(r.Decisions) == 0:
			n[""]++
		default:
			n[r.Decisions[0].Kind]++
		}
	}
	return bar(slice{Name: "undecided", Tone: "warn", Count: n[""]}, slice{Name: "to be remedied", Tone: "good", Count: n[triage.Accept] + n[triage.Configure]},
		slice{Name: "deferred or risk accepted", Tone: "live", Count: n[triage.Defer] + n[triage.AcceptRisk]},
		slice{Name: "not affected or rejected", Tone: "quiet", Count: n[triage.NotConcerned] + n[triage.Reject]})
}

// The calendar spans from a week ago to three weeks ahead.
const (
	calendarBehind = 7
	calendarAhead  = 21
	dayWidth       = 36
	laneHeight     = 22
	calendarHead   = 24
)

// calendar is the windows of orders on a time line, one lane each, drawn as SVG.
type calendar struct {
	Width, Height, Now int
	Days               []calendarDay
	Lanes              []lane
}

type calendarDay struct {
	X       int
	Label   string
	Weekend bool
}

type lane struct {
	change.Order
	X, Y, Width int
	Text        int  // where its label begins; where it ends for Before
	Before      bool // the label stands before the window: behind it there is no room
}

const labelWidth = 170

// draw lays out the windows that touch the calendar's span.
func draw(orders []change.Order, now time.Time) calendar {
	start := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -calendarBehind)
	c := calendar{Width: (calendarBehind + calendarAhead) * dayWidth}
	at := func(t time.Time) int { return int(t.Sub(start).Hours() * dayWidth / 24) }
	for i := range calendarBehind + calendarAhead {
		d := start.AddDate(0, 0, i)
		label := d.Format("2")
		if i == 0 || d.Day() == 1 {
			label = d.Format("2 Jan")
		}
		c.Days = append(c.Days, calendarDay{i * dayWidth, label, d.Weekday() == time.Saturday || d.Weekday() == time.Sunday})
	}
	for _, o := range orders {
		from, to := max(0, at(o.Window.OpensAt)), min(c.Width, at(o.Window.ClosesAt))
		if o.State == change.Rejected || o.State == change.Withdrawn || o.State == change.Expired || to < 0 || from > c.Width || to < from {
			continue
		}
		l := lane{Order: o, X: from, Y: calendarHead + len(c.Lanes)*laneHeight, Width: max(6, to-from), Text: max(from+6, to) + 6}
		if l.Before = l.Text+labelWidth > c.Width; l.Before {
			l.Text = from - 6
		}
		c.Lanes = append(c.Lanes, l)
	}
	c.Now = at(now)
	c.Height = calendarHead + len(c.Lanes)*laneHeight + 4
	return c
}
