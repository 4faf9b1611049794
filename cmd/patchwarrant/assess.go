package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newVulnerabilityClocks() *cobra.Command {
	return verb("clocks CVE/SOURCE", "The clocks of one vulnerability, and how it was assessed", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (l v1.Limits, err error) {
			path, err := vulnerabilityPath(args[0])
			if err != nil {
				return l, err
			}
			return l, c.get(ctx, path+"/clocks", &l)
		}, func(w io.Writer, l v1.Limits) {
			showClocks(w, l.Clocks)
			t := newTable("ASSESSED", "BY", "SEVERITY", "PRIORITY", "REASON", "SUPERSEDED")
			for _, a := range l.Assessments {
				t.add(a.MadeAt, a.Person, a.Severity, a.Priority, a.Reason, a.SupersededAt)
			}
			t.print(w)
		})
}

func newAssessCommand() *cobra.Command {
	var want deadline.Assessment
	var patch string
	c := verb("assess CVE/SOURCE", "Assess the impact of a vulnerability by six factors, prefilled from the data, and sign it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (a deadline.Assessment, err error) {
			path, err := vulnerabilityPath(args[0])
			if err != nil {
				return a, err
			}
			var s deadline.Suggestion
			if err := c.get(ctx, path+"/assessment", &s); err != nil {
				return a, err
			}
			for _, h := range s.Hints {
				fmt.Fprintf(os.Stderr, "%-12s %-10s %s\n", orderview.Clean(h.Factor), orderview.Clean(h.Value), orderview.Clean(h.Why))
			}
			draft, err := assessmentOf(args[0], s, want, patch)
			if err != nil {
				return a, err
			}
			return assess(ctx, c, draft)
		}, func(w io.Writer, a deadline.Assessment) {
			say(w, "%s  %s: severity %s, priority %s", orderview.Clean(a.ID), orderview.Clean(a.Vulnerability), orderview.Clean(a.Severity), orderview.Clean(a.Priority))
		})
	f := c.Flags()
	f.StringVar(&want.Factors.Exploit, "exploit", "", strings.Join(deadline.Exploits, ", "))
	f.StringVar(&want.Factors.Complexity, "complexity", "", "of the exploit: "+strings.Join(deadline.Levels, ", "))
	f.StringVar(&want.Factors.Effect, "effect", "", strings.Join(deadline.Effects, ", "))
	f.StringVar(&want.Factors.Criticality, "criticality", "", "of the systems at risk: "+strings.Join(deadline.Criticality, ", "))
	f.StringVar(&want.Factors.Location, "location", "", "of the most exposed system: "+strings.Join(deadline.Locations, ", "))
	f.StringVar(&patch, "patch", "", "whether the vendor has a patch: yes or no")
	f.BoolVar(&want.Factors.Beachhead, "beachhead", false, "who takes one of these systems reaches others")
	f.BoolVar(&want.Automatable, "automatable", false, "exploitation can be automated from end to end")
	f.BoolVar(&want.Total, "total", false, "exploitation gives total control")
	f.StringVar(&want.Severity, "severity", "", "other than sources give it, with a reason: "+strings.Join(deadline.Severities, ", "))
	f.StringVar(&want.Priority, "priority", "", "other than the factors give it, with a reason: "+strings.Join(deadline.Priorities, ", "))
	f.StringVar(&want.Reason, "reason", "", "why")
	return c
}

// assessmentOf is what a person wants to sign: the suggestion, with what they said otherwise.
func assessmentOf(name string, s deadline.Suggestion, want deadline.Assessment, patch string) (v1.AssessmentDraft, error) {
	f, w := s.Factors, want.Factors
	f = deadline.Factors{Exploit: cmp.Or(w.Exploit, f.Exploit), Complexity: cmp.Or(w.Complexity, f.Complexity), Effect: cmp.Or(w.Effect, f.Effect),
		Criticality: cmp.Or(w.Criticality, f.Criticality), Location: cmp.Or(w.Location, f.Location), Beachhead: w.Beachhead || f.Beachhead, Patch: f.Patch}
	switch patch {
	case "":
	case "yes", "no":
		f.Patch = patch == "yes"
	default:
		return v1.AssessmentDraft{}, fault.New(fault.Invalid, "--patch: want yes or no")
	}
	return v1.AssessmentDraft{Vulnerability: name, Factors: f, Severity: cmp.Or(want.Severity, s.Severity), Priority: cmp.Or(want.Priority, f.Priority()),
		Automatable: want.Automatable || s.Automatable, Total: want.Total || s.Total, Reason: want.Reason}, nil
}

// assess has the server complete the assessment, checks that it says what the person wants, signs it.
func assess(ctx context.Context, c *client, want v1.AssessmentDraft) (a deadline.Assessment, err error) {
	var draft v1.Payload
	if err := c.post(ctx, "/assessments/draft", want, &draft); err != nil {
		return a, err
	}
	if a, err = deadline.DecodeAssessment(draft.Payload); err != nil {
		return a, err
	}
	got := v1.AssessmentDraft{Vulnerability: a.Vulnerability, Factors: a.Factors, Severity: a.Severity, Priority: a.Priority,
		Automatable: a.Automatable, Total: a.Total, Reason: a.Reason}
	if got != want || a.Person != c.Person {
		return a, fault.Refuse(fault.MixMatch, "the server's draft is not the assessment you made: nothing was signed")
	}
	s, err := signAs(ctx, c, deadline.AssessmentType, draft.Payload)
	if err != nil {
		return a, err
	}
	return a, c.post(ctx, "/assessments", envelope.Envelope{PayloadType: deadline.AssessmentType, Payload: draft.Payload, Signatures: []envelope.Signature{s}}, nil)
}
