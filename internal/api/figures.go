package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// figures: the history of exposure, and numbers over time.
func (d *door) figures() {
	serve(d, operation{"vulnerability-history", http.MethodGet, "/vulnerabilities/{cve}/{source}/history",
		"When a vulnerability was here, from its first host to its last observed fixed", staff.Read}, d.history)
	serve(d, operation{"days", http.MethodGet, "/figures/days", "Exposure and coverage, day by day", staff.Read}, d.days)
	serve(d, operation{"remediation", http.MethodGet, "/figures/remediation", "Time to remediate, by the month of the observed fix",
		staff.Read}, d.remediation)
	serve(d, operation{"remediated", http.MethodGet, "/figures/remediation/{month}", "What was observed fixed in a month", staff.Read}, d.remediated)
	serve(d, operation{"scores", http.MethodGet, "/figures/scores", "What is open with each owner, unit or zone, the most findings first",
		staff.Read}, d.scores)
	serve(d, operation{"emergencies", http.MethodGet, "/figures/emergencies", "Emergency orders among production orders, month by month",
		staff.Read}, d.emergencies)
}

type sourceOf struct {
	CVE    string `path:"cve" maxLength:"100"`
	Source string `path:"source" maxLength:"200"`
}

func (d *door) history(ctx context.Context, _ staff.Session, in *sourceOf) (v1.Episodes, error) {
	all, err := d.Exposure.History(ctx, in.CVE+"/"+in.Source)
	return v1.Episodes{Episodes: list(all)}, err
}

type sinceDay struct {
	Since string `query:"since" format:"date" default:"1970-01-01" doc:"the first day wanted, UTC"`
}

func (s *sinceDay) time() (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s.Since)
	if err != nil {
		return t, fault.New(fault.Invalid, "since: a day has the form YYYY-MM-DD")
	}
	return t, nil
}

func (d *door) days(ctx context.Context, _ staff.Session, in *sinceDay) (v1.Days, error) {
	since, err := in.time()
	if err != nil {
		return v1.Days{}, err
	}
	all, err := d.Exposure.Days(ctx, since)
	return v1.Days{Days: list(all)}, err
}

func (d *door) remediation(ctx context.Context, _ staff.Session, in *sinceDay) (v1.Remediations, error) {
	since, err := in.time()
	if err != nil {
		return v1.Remediations{}, err
	}
	all, err := d.Exposure.Remediation(ctx, since)
	return v1.Remediations{Months: list(all)}, err
}

type monthOf struct {
	Month string `path:"month" pattern:"^[0-9]{4}-[0-9]{2}$"`
	Limit int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: a thousand"`
	After string `query:"after" maxLength:"400" doc:"go on after this one, the last of the page before: ID/source/episode"`
}

func (d *door) remediated(ctx context.Context, _ staff.Session, in *monthOf) (v1.Episodes, error) {
	month, err := time.Parse("2006-01", in.Month)
	if err != nil {
		return v1.Episodes{}, fault.New(fault.Invalid, "there is no such month")
	}
	var after exposure.Episode
	if in.After != "" {
		cut := strings.LastIndexByte(in.After, '/')
		number, err := strconv.Atoi(in.After[cut+1:])
		if cut < 0 || err != nil {
			return v1.Episodes{}, fault.New(fault.Invalid, "after: want ID/source/episode")
		}
		if after, err = d.Exposure.Episode(ctx, in.After[:cut], number); err != nil {
			return v1.Episodes{}, err
		}
	}
	all, err := d.Exposure.Fixed(ctx, month, month.AddDate(0, 1, 0), after, in.Limit)
	return v1.Episodes{Episodes: list(all)}, err
}

type scoresBy struct {
	By    string `query:"by" enum:"owner,unit,zone" required:"true"`
	Limit int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: all"`
}

func (d *door) scores(ctx context.Context, _ staff.Session, in *scoresBy) (v1.Scores, error) {
	all, err := d.Scores.Cards(ctx, in.By)
	if in.Limit > 0 {
		all = all[:min(len(all), in.Limit)]
	}
	return v1.Scores{Cards: list(all)}, err
}

func (d *door) emergencies(ctx context.Context, _ staff.Session, in *sinceDay) (v1.Months, error) {
	since, err := in.time()
	if err != nil {
		return v1.Months{}, err
	}
	all, err := d.Changes.Months(ctx, since)
	return v1.Months{Months: list(all)}, err
}
