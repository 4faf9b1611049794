package web

import (
	"cmp"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// branch is a directory of the reconciliation tree with the changed paths below it.
type branch struct {
	Verdict explain.Verdict
	Count   int
	Dirs    []directory
}

type directory struct {
	Path   string
	Count  int
	Chosen bool
}

type reconciledBody struct {
	Order, Host string
	Report      *explain.Report
	Digest      string
	Verdicts    []slice
	Tree        []branch
	Lines       cut[explain.Line]
	Rules       []ruleText // that the lines name
}

// ruleText says what a rule demands.
type ruleText struct{ Rule, Text string }

// rulesOf explains the rules that lines name, by number.
func rulesOf(lines []explain.Line) (all []ruleText) {
	for rule, text := range explain.Rules {
		if slices.ContainsFunc(lines, func(l explain.Line) bool { return l.Rule == rule }) {
			all = append(all, ruleText{rule, text})
		}
	}
	slices.SortFunc(all, func(a, b ruleText) int {
		return cmp.Or(cmp.Compare(len(a.Rule), len(b.Rule)), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

// reconciledHost shows one host's reconciliation as a tree: verdict, directory, path.
func (s *site) reconciledHost(v *visit) error {
	order, host := v.r.PathValue("id"), v.r.PathValue("host")
	r, err := s.Integrity.Reconciliation(v.r.Context(), order)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(r.PerHost, func(h explain.StagedHost) bool { return h.Host == host })
	if i < 0 {
		return fault.New(fault.NotFound, "order %s was not reconciled on that host", order)
	}
	report, err := s.Integrity.Report(v.r.Context(), r.PerHost[i].Report)
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	verdict, dir := explain.Verdict(q.Get("verdict")), q.Get("dir")
	body := reconciledBody{Order: order, Host: host, Report: &report, Digest: r.PerHost[i].Report, Verdicts: verdicts(report.Counts),
		Tree: tree(report.Lines, verdict, dir)}
	lines := slices.DeleteFunc(slices.Clone(report.Lines), func(l explain.Line) bool {
		return verdict != "" && l.Verdict != verdict || dir != "" && directoryOf(l.Path) != dir
	})
	slices.SortStableFunc(lines, func(a, b explain.Line) int {
		return slices.Index(verdictOrder, a.Verdict) - slices.Index(verdictOrder, b.Verdict)
	})
	body.Lines = paged(v, lines, 100)
	body.Rules = rulesOf(body.Lines.Rows)
	return v.show(http.StatusOK, "reconciled", "Reconciliation of "+host, body)
}

// directoryOf is where the tree shows a path: its first two directories.
func directoryOf(p string) string {
	parts := strings.SplitN(strings.TrimPrefix(path.Dir(p), "/"), "/", 3)
	return "/" + strings.Join(parts[:min(2, len(parts))], "/")
}

func tree(lines []explain.Line, verdict explain.Verdict, dir string) (branches []branch) {
	n := map[explain.Verdict]map[string]int{}
	for _, l := range lines {
		if n[l.Verdict] == nil {
			n[l.Verdict] = map[string]int{}
		}
		n[l.Verdict][directoryOf(l.Path)]++
	}
	for _, x := range verdictOrder {
		b := branch{Verdict: x}
		for d, count := range n[x] {
			b.Count += count
			b.Dirs = append(b.Dirs, directory{d, count, x == verdict && d == dir})
		}
		slices.SortFunc(b.Dirs, func(a, b directory) int { return strings.Compare(a.Path, b.Path) })
		if b.Count > 0 {
			branches = append(branches, b)
		}
	}
	return branches
}
