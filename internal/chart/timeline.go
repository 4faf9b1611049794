package chart

import (
	"html/template"
	"strings"
	"time"
)

// Bar is something that lasted. A zero To lasts on.
type Bar struct {
	Name, Tone string
	From, To   time.Time
}

// Moment is something that happened.
type Moment struct {
	Name, Tone string
	At         time.Time
}

// Timeline is bars and moments until now, on one line of time.
type Timeline struct {
	ID, Title, About string
	Now              time.Time
	Bars             []Bar
	Moments          []Moment
}

const timelineHeight = 74

type span struct {
	Tone, Title string
	X, W        float64
}

type timelineDrawing struct {
	Timeline
	Width, Height int
	Along         []tick
	Spans, Points []span
}

// Draw lays the timeline out from its first bar or moment to now.
func (t Timeline) Draw() template.HTML {
	from := t.Now.Add(-24 * time.Hour)
	for _, b := range t.Bars {
		from = earlier(from, b.From)
	}
	for _, m := range t.Moments {
		from = earlier(from, m.At)
	}
	const edge = 40
	at := func(x time.Time) float64 {
		return edge + (width-2*edge)*min(1, x.Sub(from).Seconds()/t.Now.Sub(from).Seconds())
	}
	d := timelineDrawing{Timeline: t, Width: width, Height: timelineHeight}
	for i := range 5 {
		x := from.Add(t.Now.Sub(from) * time.Duration(i) / 4)
		form := "2 Jan 2006"
		if t.Now.Sub(from) < 4*24*time.Hour {
			form = "2 Jan 15:04"
		}
		d.Along = append(d.Along, tick{at(x), x.UTC().Format(form)})
	}
	for _, b := range t.Bars {
		to := b.To
		if to.IsZero() {
			to = t.Now
		}
		d.Spans = append(d.Spans, span{b.Tone, b.Name + ", " + b.words(), at(b.From), max(3, at(to)-at(b.From))})
	}
	for _, m := range t.Moments {
		d.Points = append(d.Points, span{m.Tone, m.Name + ", " + words(m.At), at(m.At), 0})
	}
	var b strings.Builder
	if err := shape.ExecuteTemplate(&b, "timeline", d); err != nil {
		panic(err) // of our own template, over strings and numbers
	}
	return template.HTML(b.String())
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func words(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04") }

func (b Bar) words() string {
	if b.To.IsZero() {
		return "since " + words(b.From)
	}
	return words(b.From) + " to " + words(b.To)
}

// When writes a time for the table.
func (d timelineDrawing) When(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return words(t)
}
