package web

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// limits adds the clocks, the assessments and what waits for agreement.
func (s *site) limits(v *visit, body *caseBody) (err error) {
	ctx, name := v.r.Context(), v.caseName()
	if body.Clocks, err = s.Deadlines.Of(ctx, name); err != nil {
		return err
	}
	slices.SortStableFunc(body.Clocks, func(a, b deadline.Clock) int {
		return cmp.Or(b.Episode-a.Episode, slices.Index(policy.Clocks, a.Clock)-slices.Index(policy.Clocks, b.Clock))
	})
	if body.Assessments, err = s.Deadlines.Assessments(ctx, name); err != nil {
		return err
	}
	waiting, err := s.Triage.WaitingDecisions(ctx)
	if err != nil {
		return err
	}
	body.Waiting = slices.DeleteFunc(waiting, func(w triage.Waiting) bool { return !slices.Contains(w.About(), name) })
	var unfixed []string
	if !body.HasFix {
		unfixed = []string{name}
	}
	body.Form, err = s.decisionForm(v, unfixed, len(body.InForce) > 0)
	return err
}

// Here says whether a host is affected now, or could be: only then there is something to assess.
func (b caseBody) Here() bool {
	return b.Counts[verdict.Affected]+b.Counts[verdict.FixedAfterReboot]+b.Counts[verdict.Undetermined] > 0
}

// factor is one of the factors of an assessment in its form.
type factor struct {
	Name, Title, Value, Why string
	Choices                 []string
}

type assessBody struct {
	deadline.Suggestion
	Fields             []factor
	Severities, Levels []string // to choose the severity and the priority from
	Own                string   // priority that a person gave against the factors
}

// assessForm shows the factors as the data suggests them. It is a page of its own: what it asks for is counted over all hosts.
func (s *site) assessForm(v *visit) error {
	sug, err := s.Deadlines.Suggest(v.r.Context(), v.caseName())
	if err != nil {
		return err
	}
	body := assessBody{Suggestion: sug, Severities: deadline.Severities, Levels: deadline.Priorities}
	if sug.Priority != sug.Factors.Priority() {
		body.Own = sug.Priority
	}
	yesNo := []string{yesOrNo(false), yesOrNo(true)}
	for _, f := range []factor{
		{Name: "exploit", Title: "Exploit", Value: sug.Factors.Exploit, Choices: deadline.Exploits},
		{Name: "complexity", Title: "How hard to exploit", Value: sug.Factors.Complexity, Choices: deadline.Levels},
		{Name: "effect", Title: "Effect", Value: sug.Factors.Effect, Choices: deadline.Effects},
		{Name: "criticality", Title: "Criticality of the systems", Value: sug.Factors.Criticality, Choices: deadline.Criticality},
		{Name: "location", Title: "Where the most exposed is", Value: sug.Factors.Location, Choices: deadline.Locations},
		{Name: "beachhead", Title: "A way to further systems", Value: yesOrNo(sug.Factors.Beachhead), Choices: yesNo},
		{Name: "patch", Title: "The vendor has a patch", Value: yesOrNo(sug.Factors.Patch), Choices: yesNo},
		{Name: "automatable", Title: "Exploitation can be automated", Value: yesOrNo(sug.Automatable), Choices: yesNo},
		{Name: "total", Title: "Exploitation gives total control", Value: yesOrNo(sug.Total), Choices: yesNo},
	} {
		if i := slices.IndexFunc(sug.Hints, func(h deadline.Hint) bool { return h.Factor == f.Name }); i >= 0 {
			f.Why = sug.Hints[i].Why
		}
		body.Fields = append(body.Fields, f)
	}
	return v.show(http.StatusOK, "assess", "Assess "+v.caseName(), body)
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// weighed reads the assessment that a form asks for.
func weighed(vulnerability string, form url.Values) deadline.Assessment {
	yes := func(name string) bool { return form.Get(name) == yesOrNo(true) }
	a := deadline.Assessment{Vulnerability: vulnerability, Severity: form.Get("severity"), Priority: form.Get("priority"), Automatable: yes("automatable"),
		Total: yes("total"), Reason: form.Get("reason"), Factors: deadline.Factors{Exploit: form.Get("exploit"), Complexity: form.Get("complexity"),
			Effect: form.Get("effect"), Criticality: form.Get("criticality"), Location: form.Get("location"), Beachhead: yes("beachhead"), Patch: yes("patch")}}
	if a.Priority == "" {
		a.Priority = a.Factors.Priority()
	}
	return a
}

type assessmentBody struct {
	deadline.Assessment
	Payload string // base64
	Text    string // the payload, indented for people
	Sign    signing
}

// draftAssessment completes an assessment and shows exactly what is to be signed.
func (s *site) draftAssessment(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	payload, err := s.Deadlines.Draft(v.r.Context(), v.me(), weighed(v.caseName(), form))
	if err != nil {
		return err
	}
	a, err := deadline.DecodeAssessment(payload)
	if err != nil {
		return err
	}
	text, err := indented(payload)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "assessment", "Assess "+a.Vulnerability, assessmentBody{a, base64.StdEncoding.EncodeToString(payload), text,
		v.signing(deadline.AssessmentType, payload)})
}

func (s *site) assess(v *visit) error {
	e, err := v.signed(deadline.AssessmentType)
	if err != nil {
		return err
	}
	a, err := s.Deadlines.Assess(v.r.Context(), v.me(), e)
	if err != nil {
		return err
	}
	return v.see(vulnerabilityPath(a.Vulnerability), "assessed")
}
