package deadline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// PastAssessment is an assessment as it is kept.
type PastAssessment struct {
	Assessment
	Envelope     string    `json:"envelope"`               // digest of the signed envelope, a blob
	SupersededAt time.Time `json:"superseded_at,omitzero"` // zero: it holds
}

// Suggestion is a draft's beginning: the factors as the data suggests them, with the reasons.
type Suggestion struct {
	Assessment
	Hints []Hint `json:"hints"`
}

// Suggest gives the factors, severity and priority as the data suggests them, or NotFound for what nobody states. Where an
// assessment holds, it is what the suggestion begins with.
func (d *Deadlines) Suggest(ctx context.Context, vulnerability string) (s Suggestion, err error) {
	view, v, err := d.find(ctx, vulnerability)
	if err != nil {
		return s, err
	}
	standings, err := d.standings(ctx, view)
	if err != nil {
		return s, err
	}
	s.Vulnerability, s.Given = vulnerability, Severity(v)
	s.Factors, s.Hints = prefill(v, standings[vulnerability])
	if ssvc := v.SSVC; ssvc != nil {
		s.Automatable, s.Total = ssvc.Automatable == "yes", ssvc.Impact == "total"
		s.Hints = append(s.Hints, Hint{"automatable", ssvc.Automatable, "SSVC of " + ssvc.Source}, Hint{"total", ssvc.Impact, "SSVC of " + ssvc.Source})
	}
	s.Severity, s.Priority = s.Given, s.Factors.Priority()
	all, err := d.Assessments(ctx, vulnerability)
	if err == nil && len(all) > 0 && all[0].SupersededAt.IsZero() {
		given := s.Given
		s.Assessment = all[0].Assessment
		s.Given = given
	}
	return s, err
}

func (d *Deadlines) find(ctx context.Context, vulnerability string) (view triage.View, v triage.Vulnerability, err error) {
	view, err = d.Triage.Vulnerabilities(ctx)
	if err != nil {
		return view, v, err
	}
	i := slices.IndexFunc(view.Rows, func(r triage.Vulnerability) bool { return r.Name == vulnerability })
	if i < 0 {
		return view, v, fault.New(fault.NotFound, "%.200q is on no host; the form is CVE-…/source", vulnerability)
	}
	return view, view.Rows[i], nil
}

// Assessments gives all about a vulnerability, the newest first.
func (d *Deadlines) Assessments(ctx context.Context, vulnerability string) (all []PastAssessment, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = assessments(ctx, tx, qAssessments, vulnerability)
		return err
	})
	return all, err
}

// current gives the assessments that hold, by vulnerability.
func current(ctx context.Context, tx *db.Tx) (map[string]*Assessment, error) {
	all, err := assessments(ctx, tx, qCurrent)
	held := make(map[string]*Assessment, len(all))
	for i := range all {
		held[all[i].Vulnerability] = &all[i].Assessment
	}
	return held, err
}

// Draft completes an assessment (Vulnerability, Factors, Severity, Priority, Automatable, Total, Reason) with the severity
// given and the trust root of now, for Who to sign and hand to Assess. Nothing is kept.
func (d *Deadlines) Draft(ctx context.Context, who string, a Assessment) ([]byte, error) {
	root, err := d.Root.CurrentRoot(ctx)
	if err != nil {
		return nil, err
	}
	_, v, err := d.find(ctx, a.Vulnerability)
	if err != nil {
		return nil, err
	}
	now := d.Now().UTC().Truncate(time.Microsecond)
	a.ID, a.Given, a.Person, a.TrustRoot, a.MadeAt = id.New("asm", now), Severity(v), who, warrant.RefOf(root), now
	if err := a.check(); err != nil {
		return nil, err
	}
	return a.Encode()
}

// Assess keeps an assessment that who signed, alone, over what Draft gave. The one that held is superseded.
func (d *Deadlines) Assess(ctx context.Context, who string, e envelope.Envelope) (a Assessment, err error) {
	if e.PayloadType != AssessmentType {
		return a, fault.New(fault.Invalid, "assessment: the envelope holds %.100q", e.PayloadType)
	}
	if a, err = DecodeAssessment(e.Payload); err != nil {
		return a, err
	}
	if a.Person != who {
		return a, fault.New(fault.Denied, "assessment: %s cannot hand in what %s assesses", who, a.Person)
	}
	root, err := d.Root.CurrentRoot(ctx)
	if err != nil {
		return a, err
	}
	if err := a.verify(e, root, d.Now()); err != nil {
		return a, err
	}
	_, v, err := d.find(ctx, a.Vulnerability)
	if err != nil {
		return a, err
	}
	if given := Severity(v); given != a.Given {
		return a, fault.New(fault.Conflict, "assessment: sources now give the severity %s, not %s; look again", given, a.Given)
	}
	return a, d.keep(ctx, a, e)
}

// assessed is the detail of the act assessment.made. Its facts: the payload and the envelope.
type assessed struct {
	Assessment string `json:"assessment"`
	Given      string `json:"given"`
	Severity   string `json:"severity"`
	Priority   string `json:"priority"`
}

func (d *Deadlines) keep(ctx context.Context, a Assessment, e envelope.Envelope) error {
	signed, err := envelope.Encode(e)
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, d.Blobs, signed)
	if err != nil {
		return err
	}
	payload, err := blob.PutBytes(ctx, d.Blobs, e.Payload)
	if err != nil {
		return err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := insertAssessment(ctx, tx, a, e.Payload, digest, d.Now()); err != nil {
			return err
		}
		_, err := d.act(ctx, tx, "person/"+a.Person, "assessment.made", subjectOf(a.Vulnerability), []string{payload, digest},
			assessed{a.ID, a.Given, a.Severity, a.Priority})
		return err
	})
	if err != nil {
		return fmt.Errorf("assess %s: %w", a.Vulnerability, err)
	}
	return nil
}
