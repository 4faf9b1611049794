package triage

import (
	"context"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Stated is what sources say of a vulnerability, whether or not a host has it.
type Stated struct {
	Leading []intake.Statement     // one for each release
	Hosts   map[verdict.Status]int // that have the source package
}

// Stated gives it for vulnerabilities by name.
func (t *Triage) Stated(ctx context.Context, vulnerabilities []string) (map[string]Stated, error) {
	if len(vulnerabilities) == 0 {
		return nil, nil
	}
	all := make(map[string]Stated, len(vulnerabilities))
	err := t.read(ctx, func() {
		for _, name := range vulnerabilities {
			id, source, _ := strings.Cut(name, "/")
			all[name] = Stated{t.leading(name), t.fleet.CountHosts(id, source)}
		}
	})
	return all, err
}

// Findings judges one host and then each of its other roots, sorted by source and ID; what is not affected is left out. An unknown host has none.
func (t *Triage) Findings(ctx context.Context, host string) (all []verdict.Finding, err error) {
	err = t.read(ctx, func() {
		all = t.fleet.Findings(host)
		for _, place := range t.roots[host] {
			all = append(all, t.fleet.Findings(place)...)
		}
	})
	return all, err
}

// Answers tells of vulnerabilities on one host, in the order asked. known is false for a host without a package set.
func (t *Triage) Answers(ctx context.Context, host string, asked []verdict.Asked) (answers []verdict.Answer, known bool, err error) {
	err = t.read(ctx, func() { answers, known = t.fleet.Answers(host, asked) })
	return answers, known, err
}

// Standings is verdict.Fleet.Standings as of now.
func (t *Triage) Standings(ctx context.Context, of func(place string) string) (all map[string][]string, err error) {
	err = t.read(ctx, func() { all = t.fleet.Standings(of) })
	return all, err
}

// Shares is verdict.Fleet.Shares as of now; the findings of all shares together are those of the view.
func (t *Triage) Shares(ctx context.Context, of func(place string) string, sets ...map[string]bool) (all map[string]*verdict.Share, err error) {
	err = t.read(ctx, func() { all = t.fleet.Shares(of, sets...) })
	return all, err
}
