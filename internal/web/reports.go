package web

import (
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/chart"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/score"
)

// spans of time that the page offers, in days, and how many months it shows of what is counted by month.
const (
	reportDays   = 90
	reportMonths = 12
	mostDays     = 120 // of more, one day a week is shown
	mostCards    = 50
)

var reportSpans = []struct{ days, title string }{{"30", "30 days"}, {"90", "90 days"}, {"365", "a year"}}

type reportsBody struct {
	Facet                                     []facet
	Findings, Vulnerabilities, Coverage, Ages template.HTML
	Remediation, Emergencies                  template.HTML
	Last                                      *exposure.Day          // the latest totals
	Speaking, Judged                          int                    // percent of hosts, by them
	Months                                    []exposure.Remediation // the newest first
	Orders, Urgent                            int                    // of the months shown
	By                                        string
	Cards                                     []score.Card // the most findings first
	MoreCards                                 int
}

func (s *site) reports(v *visit) error {
	ctx := v.r.Context()
	wanted := v.r.URL.Query().Get("days")
	days := reportDays
	spans := facet{Name: "days", Title: "Over"}
	for _, x := range reportSpans {
		n, err := strconv.Atoi(x.days)
		if err == nil && x.days == wanted {
			days = n
		}
		spans.Choices = append(spans.Choices, choice{Value: x.days, Label: x.title, Chosen: x.days == wanted || wanted == "" && n == reportDays})
	}
	all, err := s.Exposure.Days(ctx, v.now.AddDate(0, 0, -days))
	if err != nil {
		return err
	}
	body := reportsBody{Facet: []facet{spans}}
	line := dayLine(all, v.now)
	body.Findings, body.Vulnerabilities = line.findings("findings"), line.vulnerabilities("vulnerabilities")
	body.Coverage, body.Ages = line.coverage("coverage"), line.ages("ages")
	if len(all) > 0 {
		body.Last = &all[len(all)-1]
		body.Speaking = share(body.Last.Hosts-body.Last.Silent, body.Last.Hosts)
		body.Judged = share(body.Last.Judged, body.Last.Hosts)
	}
	first := firstOf(v.now).AddDate(0, 1-reportMonths, 0)
	remedied, err := s.Exposure.Remediation(ctx, first)
	if err != nil {
		return err
	}
	for i := range remedied {
		body.Months = append(body.Months, remedied[len(remedied)-1-i])
	}
	body.Remediation = remediationChart(remedied, first)
	orders, err := s.Changes.Months(ctx, first)
	if err != nil {
		return err
	}
	for _, m := range orders {
		body.Orders, body.Urgent = body.Orders+m.Orders, body.Urgent+m.Emergencies
	}
	body.Emergencies = emergenciesChart(orders, first)
	if err := s.cards(v, &body); err != nil {
		return err
	}
	return v.show(http.StatusOK, "reports", "Reports", body)
}

// cards fills in what is open with each owner, unit or zone.
func (s *site) cards(v *visit, body *reportsBody) error {
	by := facet{Name: "by", Title: "By"}
	body.By = score.By[0]
	if wanted := v.r.URL.Query().Get("by"); slices.Contains(score.By, wanted) {
		body.By = wanted
	}
	for _, x := range score.By {
		by.Choices = append(by.Choices, choice{Value: x, Label: x, Chosen: x == body.By})
	}
	body.Facet = append(body.Facet, by)
	all, err := s.Scores.Cards(v.r.Context(), body.By)
	if err != nil {
		return err
	}
	body.Cards = all[:min(len(all), mostCards)]
	body.MoreCards = len(all) - len(body.Cards)
	return nil
}

// share gives a part in percent, rounded down: 100 is all.
func share(part, all int) int {
	if all == 0 {
		return 0
	}
	return part * 100 / all
}

func firstOf(t time.Time) time.Time {
	return time.Date(t.UTC().Year(), t.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
}

// dated is days without gaps: nil where no sweep ran.
type dated struct {
	labels []string
	days   []*exposure.Day
}

// dayLine lays days out from the first to now; of many, every seventh back from the last.
func dayLine(all []exposure.Day, now time.Time) dated {
	var d dated
	if len(all) == 0 {
		return d
	}
	byDay := make(map[string]*exposure.Day, len(all))
	for i := range all {
		byDay[all[i].Day] = &all[i]
	}
	first, err := time.Parse(time.DateOnly, all[0].Day)
	if err != nil {
		return d // we wrote it
	}
	last := now.UTC().Truncate(24 * time.Hour)
	step := 1
	if last.Sub(first) > mostDays*24*time.Hour {
		step = 7
		first = first.AddDate(0, 0, int(last.Sub(first).Hours()/24)%step)
	}
	for x := first; !x.After(last); x = x.AddDate(0, 0, step) {
		d.labels = append(d.labels, x.Format("2 Jan"))
		d.days = append(d.days, byDay[x.Format(time.DateOnly)])
	}
	return d
}

func (d dated) values(of func(*exposure.Day) float64) []float64 {
	all := make([]float64, len(d.days))
	for i, day := range d.days {
		all[i] = math.NaN()
		if day != nil {
			all[i] = of(day)
		}
	}
	return all
}

func (d dated) chart(id, title, about string, series ...chart.Series) chart.Chart {
	return chart.Chart{ID: id, Title: title, About: about, Over: "Day", Labels: d.labels, Series: series}
}

func (d dated) findings(id string) template.HTML {
	return d.chart(id, "Findings", "Vulnerabilities on hosts, each host counted, at the first sweep of each day.",
		chart.Series{Name: "findings", Tone: "live", Values: d.values(func(x *exposure.Day) float64 { return float64(x.Findings) })}).Lines()
}

func (d dated) vulnerabilities(id string) template.HTML {
	return d.chart(id, "Vulnerabilities", "Distinct vulnerabilities that affect a host, at the first sweep of each day.",
		chart.Series{Name: "all", Tone: "live", Values: d.values(func(x *exposure.Day) float64 { return float64(x.Vulnerabilities) })},
		chart.Series{Name: "undecided", Tone: "warn", Values: d.values(func(x *exposure.Day) float64 { return float64(x.Undecided) })},
		chart.Series{Name: "known exploited", Tone: "bad", Values: d.values(func(x *exposure.Day) float64 { return float64(x.Exploited) })}).Lines()
}

// ofHosts gives a part of a day's hosts in percent.
func ofHosts(part func(*exposure.Day) int) func(*exposure.Day) float64 {
	return func(x *exposure.Day) float64 {
		if x.Hosts == 0 {
			return math.NaN()
		}
		return math.Floor(float64(part(x))*1000/float64(x.Hosts)) / 10
	}
}

func (d dated) percents(id, title, about string, series ...chart.Series) template.HTML {
	c := d.chart(id, title, about, series...)
	c.Unit, c.Top = "%", 100
	return c.Lines()
}

func (d dated) coverage(id string) template.HTML {
	return d.percents(id, "Coverage", "Share of the hosts that spoke within their term, and of those that a source speaks about.",
		chart.Series{Name: "speak", Tone: "live", Values: d.values(ofHosts(func(x *exposure.Day) int { return x.Hosts - x.Silent }))},
		chart.Series{Name: "are judged", Tone: "good", Values: d.values(ofHosts(func(x *exposure.Day) int { return x.Judged }))})
}

func (d dated) ages(id string) template.HTML {
	return d.percents(id, "Age of what hosts reported", "Share of the hosts whose last complete report is younger than a day, and than a week.",
		chart.Series{Name: "within a week", Tone: "quiet", Values: d.values(ofHosts(func(x *exposure.Day) int { return x.FreshWeek }))},
		chart.Series{Name: "within a day", Tone: "live", Values: d.values(ofHosts(func(x *exposure.Day) int { return x.FreshDay }))})
}

// monthLabels gives the months from first on, as figures name them and as people read them.
func monthLabels(first time.Time) (names, labels []string) {
	for i := range reportMonths {
		m := first.AddDate(0, i, 0)
		names, labels = append(names, m.Format("2006-01")), append(labels, m.Format("Jan 06"))
	}
	return names, labels
}

func remediationChart(months []exposure.Remediation, first time.Time) template.HTML {
	names, labels := monthLabels(first)
	median, late, fixed := nothing(), nothing(), make([]string, len(names))
	for i, name := range names {
		fixed[i] = "0"
		for _, m := range months {
			if m.Month == name {
				median[i], late[i], fixed[i] = m.MedianHours/24, m.P90Hours/24, count(m.Fixed)
			}
		}
	}
	return chart.Chart{ID: "remediation", Title: "Time to remediate", Over: "Month", Unit: "days", Labels: labels,
		About:   "Days from the first affected host to the last one observed fixed, by the month of the fix: half were faster than the median, nine in ten than the 90th percentile.",
		Series:  []chart.Series{{Name: "median", Tone: "live", Values: median}, {Name: "90th percentile", Tone: "quiet", Values: late}},
		Columns: []chart.Column{{Name: "fixed", Values: fixed}}}.Beside()
}

func emergenciesChart(months []change.Month, first time.Time) template.HTML {
	names, labels := monthLabels(first)
	usual, urgent, part := nothing(), nothing(), make([]string, len(names))
	for i, name := range names {
		part[i] = "–"
		for _, m := range months {
			if m.Month == name {
				usual[i], urgent[i] = float64(m.Orders-m.Emergencies), float64(m.Emergencies)
				part[i] = strconv.Itoa(share(m.Emergencies, m.Orders)) + "\u00a0%"
			}
		}
	}
	return chart.Chart{ID: "emergencies", Title: "Emergencies among production orders", Over: "Month", Labels: labels,
		About:   "Production orders that people signed, by month; emergencies skip the waiting and must not become regular.",
		Series:  []chart.Series{{Name: "other", Tone: "quiet", Values: usual}, {Name: "emergency", Tone: "bad", Values: urgent}},
		Columns: []chart.Column{{Name: "share of emergencies", Values: part}}}.Stacked()
}

// nothing is a missing number for each month.
func nothing() []float64 {
	all := make([]float64, reportMonths)
	for i := range all {
		all[i] = math.NaN()
	}
	return all
}
