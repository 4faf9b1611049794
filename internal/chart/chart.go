// Package chart draws numbers as SVG, each picture with the table of what it shows. It draws in attributes and classes
// only, so that pages with a strict policy can show it, in the theme and on paper.
package chart

import (
	_ "embed"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Series is one row of numbers; NaN where there is none. Tone is the class that colours it.
type Series struct {
	Name, Tone string
	Values     []float64
}

// Chart is what is drawn: series over the same labels. Columns beside the series stand in the table only.
type Chart struct {
	ID      string // of the element; one on the page
	Title   string
	About   string // one sentence: what the numbers are
	Over    string // heads the labels' column: "Day", "Month"
	Unit    string // after each number: "%", "days"
	Labels  []string
	Series  []Series
	Columns []Column
	Top     float64 // upper end of the scale where it is fixed; 0: from the numbers
}

// Column is one more column of the table.
type Column struct {
	Name   string
	Values []string
}

// Size of the drawing and of its plot, in its own units.
const (
	width, height = 640, 210
	left, right   = 48, 22
	top, bottom   = 12, 24
	plotWidth     = width - left - right
	plotHeight    = height - top - bottom
	mostLabels    = 9  // along the bottom
	slimmest      = 46 // units that a label needs
)

type tick struct {
	At   float64
	Text string
}

// mark is a line, or a column.
type mark struct {
	Tone, Title string
	X, Y, W, H  float64
	Path        string
	Points      []point // of a line, those without neighbours
}

type point struct{ X, Y float64 }

type drawing struct {
	Chart
	Width, Height, Left, Right, Top, Bottom int
	Rows                                    []tick // lines across
	Along                                   []tick
	Marks                                   []mark
}

// Lines draws each series as a line; where a number is missing, the line breaks.
func (c Chart) Lines() template.HTML {
	d, scale := c.plot(c.highest())
	at := func(i int) float64 { return left + plotWidth*(float64(i)+0.5)/float64(max(len(c.Labels), 1)) }
	for i := range c.Labels {
		d.label(i, at(i))
	}
	for _, s := range c.Series {
		d.Marks = append(d.Marks, line(s, at, scale))
	}
	return d.draw()
}

func line(s Series, at func(int) float64, scale func(float64) float64) mark {
	m := mark{Tone: s.Tone, Title: s.Name}
	var path strings.Builder
	for i, v := range s.Values {
		switch {
		case math.IsNaN(v):
			continue
		case i > 0 && !math.IsNaN(s.Values[i-1]):
			path.WriteString(" L")
		default:
			path.WriteString(" M")
			if i+1 == len(s.Values) || math.IsNaN(s.Values[i+1]) {
				m.Points = append(m.Points, point{at(i), scale(v)}) // alone, it would not be seen
			}
		}
		path.WriteString(number(at(i)) + " " + number(scale(v)))
	}
	m.Path = strings.TrimPrefix(path.String(), " ")
	return m
}

// Beside draws the series of each label beside each other.
func (c Chart) Beside() template.HTML {
	d, scale := c.plot(c.highest())
	c.columns(&d, func(label, series int, x, w float64) mark {
		w /= float64(len(c.Series))
		y := scale(c.Series[series].Values[label])
		return mark{X: x + w*float64(series), Y: y, W: w - 1, H: top + plotHeight - y}
	})
	return d.draw()
}

// Stacked draws the series of each label on top of each other.
func (c Chart) Stacked() template.HTML {
	sums := make([]float64, len(c.Labels))
	for _, s := range c.Series {
		for i, v := range s.Values {
			sums[i] += zero(v)
		}
	}
	highest := 0.0
	for i, sum := range sums {
		highest, sums[i] = max(highest, sum), 0
	}
	d, scale := c.plot(highest)
	c.columns(&d, func(label, series int, x, w float64) mark {
		below := sums[label]
		sums[label] += zero(c.Series[series].Values[label])
		y := scale(sums[label])
		return mark{X: x, Y: y, W: w, H: scale(below) - y}
	})
	return d.draw()
}

func (c Chart) columns(d *drawing, place func(label, series int, x, w float64) mark) {
	each := plotWidth / float64(max(len(c.Labels), 1))
	w := min(each*0.7, 44)
	for i := range c.Labels {
		middle := left + each*(float64(i)+0.5)
		d.label(i, middle)
		for n, s := range c.Series {
			if v := s.Values[i]; !math.IsNaN(v) && v > 0 {
				m := place(i, n, middle-w/2, w)
				m.Tone, m.Title = s.Tone, c.Labels[i]+", "+s.Name+": "+c.value(v)
				d.Marks = append(d.Marks, m)
			}
		}
	}
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

func (c Chart) highest() (v float64) {
	for _, s := range c.Series {
		for _, x := range s.Values {
			v = max(v, zero(x))
		}
	}
	return v
}

// plot makes the scale up to at least the highest number, with its lines across.
func (c Chart) plot(highest float64) (d drawing, scale func(float64) float64) {
	d = drawing{Chart: c, Width: width, Height: height, Left: left, Right: width - right, Top: top, Bottom: top + plotHeight}
	step := nice(max(highest, c.Top) / 4)
	end := c.Top
	if end == 0 {
		end = max(step, math.Ceil(highest/step)*step)
	}
	scale = func(v float64) float64 { return top + plotHeight*(1-v/end) }
	for v := 0.0; v <= end*1.0001; v += step {
		text := short(v)
		if c.Unit == "%" {
			text += "\u00a0%"
		}
		d.Rows = append(d.Rows, tick{scale(v), text})
	}
	return d, scale
}

// nice gives the next of 1, 2, 5, 10, 20, …, at least 1 for whole numbers' sake.
func nice(v float64) float64 {
	if v <= 1 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 2.5, 5} {
		if n*power >= v && n*power == math.Trunc(n*power) {
			return n * power
		}
	}
	return 10 * power
}

func (d *drawing) label(i int, x float64) {
	every := max(1, (len(d.Labels)+mostLabels-1)/mostLabels)
	if (len(d.Labels)-1-i)%every == 0 && (x > left+slimmest/2 || len(d.Labels) <= mostLabels) {
		d.Along = append(d.Along, tick{x, d.Labels[i]})
	}
}

// value is a number of the chart in words.
func (c Chart) value(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	text := group(v)
	if c.Unit != "" {
		text += "\u00a0" + c.Unit
	}
	return text
}

// group writes a number with at most one decimal, its digits in groups.
func group(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	whole, rest, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "\u202f" + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// short writes a number of the scale.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + " M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + " k"
	}
	return group(v)
}

// number writes a coordinate.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

//go:embed chart.html
var text string

var shape = template.Must(template.New("chart").Funcs(template.FuncMap{
	"n":     number,
	"cell":  func(c Chart, v float64) string { return c.value(v) },
	"right": func(v int) int { return v - 4 },
}).Parse(text))

func (d drawing) draw() template.HTML {
	var b strings.Builder
	if err := shape.Execute(&b, d); err != nil {
		panic(err) // of our own template, over strings and numbers
	}
	return template.HTML(b.String())
}
