package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

type hostsBody struct {
	Hosts   []estate.Host
	All     int
	Further string // ID after which the next page begins
	Facets  []facet
	Search  string
	Views   viewsBar
}

const hostsPage = 100

func (s *site) hosts(v *visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	f := estate.Filter{Environment: q.Get("environment"), Release: q.Get("release"), State: estate.State(q.Get("state")),
		Zone: q.Get("zone"), Owner: q.Get("owner"), Unit: q.Get("unit"), Criticality: q.Get("criticality"), Exposure: q.Get("exposure"), Group: q.Get("group"),
		Text: strings.TrimSpace(q.Get("q"))}
	n, err := s.Estate.Facets(ctx, f)
	if err != nil {
		return err
	}
	hosts, err := s.Estate.List(ctx, f, q.Get("after"), hostsPage+1)
	if err != nil {
		return err
	}
	body := hostsBody{Hosts: hosts, All: n.Hosts, Search: q.Get("q"), Facets: []facet{
		facetOf("environment", "Environment", f.Environment, n.By(estate.ByEnvironment)),
		facetOf("release", "Release", f.Release, n.By(estate.ByRelease)), facetOf("state", "Condition", string(f.State), n.By(estate.ByState)),
		facetOf("zone", "Zone", f.Zone, n.By(estate.ByZone)), facetOf("owner", "Owner", f.Owner, n.By(estate.ByOwner)),
		facetOf("unit", "Unit", f.Unit, n.By(estate.ByUnit)), facetOf("criticality", "Criticality", f.Criticality, n.By(estate.ByCriticality)),
		facetOf("exposure", "Exposure", f.Exposure, n.By(estate.ByExposure)), facetOf("group", "Group", f.Group, n.Groups)}}
	if len(hosts) > hostsPage {
		body.Hosts, body.Further = hosts[:hostsPage], hosts[hostsPage-1].ID
	}
	if body.Views, err = s.viewsOf(v, "hosts"); err != nil {
		return err
	}
	if v.part() {
		return v.showPart("hosts", "list", body)
	}
	return v.show(http.StatusOK, "hosts", "Hosts", body)
}

// facetOf offers every value that occurs, and the chosen one. Hosts without a value are no choice.
func facetOf[T ~string](name, title string, chosen T, n map[T]int) facet {
	f := facet{Name: name, Title: title}
	for value := range n {
		if value != "" {
			f.Choices = append(f.Choices, choice{string(value), say(value), n[value], value == chosen})
		}
	}
	if _, occurs := n[chosen]; chosen != "" && !occurs {
		f.Choices = append(f.Choices, choice{string(chosen), say(chosen), 0, true})
	}
	slices.SortFunc(f.Choices, func(a, b choice) int { return strings.Compare(a.Value, b.Value) })
	return f
}

type hostBody struct {
	estate.Host
	Findings cut[verdict.Finding]
	Affected int
	Packages cut[estate.Package]
	Says     wire.Inventory
	Root     string // of which packages and system are shown; empty: /
	Runs     []rollout.Run
	States   []fileState
	Recorded record.Record // empty: there is no record about it
	Fields   []fieldBody
	Leaving  []retirement.Retirement
	Silences []silence.Silence
	Drift    drift.Drift
	Apart    cut[drift.Difference]
	Acts     []ledger.Entry
	Scans    []scans.ScannedHost // the newest report of each scanner
	Tab      string
}

// Bounds of what the page shows of a host's past, the newest.
const (
	hostRuns = 50
	hostActs = 100
)

func (s *site) host(v *visit) error {
	ctx, id := v.r.Context(), v.r.PathValue("id")
	h, err := s.Estate.Host(ctx, id)
	if err != nil {
		return err
	}
	body := hostBody{Host: h, Tab: v.r.URL.Query().Get("tab"), Root: v.r.URL.Query().Get("root")}
	findings, err := s.Triage.Findings(ctx, id)
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Verdict.Status == verdict.Affected {
			body.Affected++
		}
	}
	if body.Scans, err = s.Scans.OnHost(ctx, id); err != nil {
		return err
	}
	if body.Silences, err = s.Silence.Of(ctx, id); err != nil {
		return err
	}
	if body.Leaving, err = s.Retirements.List(ctx, id); err != nil {
		return err
	}
	switch body.Tab {
	case "packages":
		err = body.packages(s, v)
	case "files":
		body.States, err = s.fileStates(ctx, id)
	case "system":
		if body.Host.Inventory != "" {
			body.Says, err = s.Estate.Inventory(ctx, h, body.Root)
		}
	case "runs":
		body.Runs, err = s.Rollouts.RunsOf(ctx, id, "", hostRuns)
	case "drift":
		if h.Environment != "stage" {
			body.Drift, err = s.Drift.Of(ctx, id)
			body.Apart = paged(v, body.Drift.Differences, 100)
		}
	case "inventory":
		body.Recorded, _, err = s.Estate.RecordOf(ctx, id)
		if err == nil {
			body.Fields, err = v.fields(body.Recorded.Fields)
		}
	case "record":
		body.Acts, err = s.Ledger.List(ctx, ledger.Filter{Subject: "host/" + id, Newest: true, Limit: hostActs})
	default:
		body.Tab = "findings"
		body.Findings = paged(v, findings, 100)
	}
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "host", h.Name, body)
}

// fileState is a state that a host reported, and the order whose run left it; none: nothing that is known here explains it.
type fileState struct {
	estate.FileState
	Order string
}

func (s *site) fileStates(ctx context.Context, host string) ([]fileState, error) {
	states, err := s.Estate.FileStates(ctx, host)
	if err != nil {
		return nil, err
	}
	runs, err := s.Rollouts.RunsOf(ctx, host, "", hostRuns)
	if err != nil {
		return nil, err
	}
	left := map[string]string{} // order by tree and digest
	for _, r := range runs {
		if r.After != nil {
			for tree, digest := range r.After.Trees {
				left[tree+" "+digest] = r.Order
			}
		}
	}
	all := make([]fileState, 0, len(states))
	for _, x := range states {
		all = append(all, fileState{x, left[x.Tree+" "+x.Digest]})
	}
	return all, nil
}

func (b *hostBody) packages(s *site, v *visit) error {
	if b.PackageSet == "" {
		return nil
	}
	all, err := s.Estate.Packages(v.r.Context(), b.Host, b.Root)
	if err != nil {
		return err
	}
	search := strings.ToLower(strings.TrimSpace(v.r.URL.Query().Get("q")))
	found := slices.DeleteFunc(all, func(p estate.Package) bool { return !strings.Contains(p.Name+" "+p.Source, search) })
	b.Packages = paged(v, found, 100)
	return nil
}

type enrolmentBody struct {
	Name, Line string
	ExpiresAt  time.Time
	MadeAt     int64 // seconds; the page waits for what the host reports from then on
	Setup      bool  // it is the first host: the set-up goes on when it reports
}

// enrol makes the line that root runs on a host, once. It is shown once.
func (s *site) enrol(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	token, expires, err := s.Estate.MakeToken(v.r.Context(), "person/"+v.me(), estate.NewToken{
		Name: form.Get("name"), Environment: form.Get("environment"), Host: form.Get("host"), Life: time.Hour})
	if err != nil {
		return err
	}
	line := "patchwarrant-agent enrol --server " + s.Agents + " --token " + token + " --ca " + s.Estate.CA.Hash() + " --trust-root " + root.Digest()
	return v.show(http.StatusOK, "enrolment", "Enrol "+form.Get("name"), enrolmentBody{form.Get("name"), line, expires, v.now.Unix(), form.Get("setup") != ""})
}
