package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
)

func newSuspicionCommand() *cobra.Command {
	return noun("suspicion", "Vulnerabilities that somebody here suspects: report one, see its fate, answer it",
		newSuspicionReport(), newSuspicionList(), newSuspicionShow(), newSuspicionEvidence(), newSuspicionTake(), newSuspicionAnswer())
}

func newSuspicionReport() *cobra.Command {
	var in v1.NewSuspicion
	var file string
	c := verb("report TITLE --noticed TEXT", "Report a vulnerability that you suspect; the CIRT answers within 24 hours", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s suspicion.Suspicion, err error) {
			in.Title = args[0]
			if file != "" {
				f, err := os.Open(file)
				if err != nil {
					return s, fault.New(fault.Invalid, "%w", err)
				}
				defer f.Close()
				b, err := io.ReadAll(io.LimitReader(f, suspicion.MaxEvidence+1))
				if err != nil {
					return s, err
				}
				in.Evidence = &v1.Attachment{Name: filepath.Base(file), Content: b}
			}
			return s, c.post(ctx, "/suspicions", in, &s)
		}, func(w io.Writer, s suspicion.Suspicion) {
			say(w, "%s: an answer is due %s", orderview.Clean(s.ID), moment(s.DueAt))
		})
	f := c.Flags()
	f.StringVar(&in.Host, "host", "", "where: a host")
	f.StringVar(&in.Package, "package", "", "where: a package")
	f.StringVar(&in.Place, "place", "", "where: anything else")
	f.StringVar(&in.Noticed, "noticed", "", "how you noticed it")
	f.StringVar(&file, "evidence", "", "file to attach, at most 256 KiB; you and the CIRT, risk managers and auditors read it")
	c.MarkFlagRequired("noticed")
	return c
}

func newSuspicionList() *cobra.Command {
	by := newFilter("state")
	c := verb("list [--state open|answered]", "Those you may see, the newest first", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (all v1.Suspicions, err error) {
			return all, c.get(ctx, "/suspicions"+by.query(), &all)
		}, func(w io.Writer, all v1.Suspicions) {
			t := newTable("SUSPICION", "STATE", "OWNER", "DUE", "REPORTER", "TITLE")
			for _, s := range all.Suspicions {
				t.add(s.ID, s.State, s.Owner, s.DueAt, s.Reporter, s.Title)
			}
			t.print(w)
			say(w, "%d open, %d of them late, %d without an owner", all.Open, all.Late, all.Unowned)
		})
	by.flags(c)
	return c
}

func newSuspicionShow() *cobra.Command {
	return verb("show SUSPICION", "One suspicion with its history", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s suspicion.Suspicion, err error) {
			return s, c.get(ctx, "/suspicions/"+segment(args[0]), &s)
		}, showSuspicion)
}

func showSuspicion(w io.Writer, s suspicion.Suspicion) {
	t := newTable("SUSPICION", "STATE", "OWNER", "DUE", "REPORTER", "TITLE")
	t.add(s.ID, s.State, s.Owner, s.DueAt, s.Reporter, s.Title)
	t.print(w)
	t = newTable("WHERE", "NOTICED")
	t.add(strings.Join([]string{s.Host, s.Package, s.Place}, " "), s.Noticed)
	t.print(w)
	if e := s.Evidence; e != nil {
		t = newTable("EVIDENCE", "BYTES", "SHA-256")
		t.add(e.Name, e.Bytes, e.SHA256)
		t.print(w)
	}
	if a := s.Answer; a != nil {
		t = newTable("ANSWER", "NAMES", "BY", "REASON")
		t.add(a.Kind, a.Vulnerability+a.Of, a.By, a.Reason)
		t.print(w)
	}
	t = newTable("AT", "WHAT", "WHO")
	for _, step := range s.Steps {
		t.add(step.At, step.What, step.Who)
	}
	t.print(w)
}

func newSuspicionEvidence() *cobra.Command {
	var out string
	c := verb("evidence SUSPICION -o FILE", "Save what is attached", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (path string, err error) {
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return "", fault.New(fault.Invalid, "%w", err)
			}
			defer f.Close()
			return out, c.do(ctx, http.MethodGet, "/suspicions/"+segment(args[0])+"/evidence", nil, func(body io.Reader) error {
				_, err := io.Copy(f, io.LimitReader(body, suspicion.MaxEvidence))
				return err
			})
		}, func(w io.Writer, path string) { say(w, "saved in %s", path) })
	c.Flags().StringVarP(&out, "output", "o", "", "file to write; it must not be there yet")
	c.MarkFlagRequired("output")
	return c
}

func newSuspicionTake() *cobra.Command {
	var owner string
	c := verb("take SUSPICION [--for PERSON]", "Own a suspicion, or give it to another CIRT analyst", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s suspicion.Suspicion, err error) {
			return s, c.call(ctx, http.MethodPut, "/suspicions/"+segment(args[0])+"/owner", v1.NewOwner{Owner: owner}, &s)
		}, func(w io.Writer, s suspicion.Suspicion) {
			say(w, "%s is %s's; an answer is due %s", orderview.Clean(s.ID), orderview.Clean(s.Owner), moment(s.DueAt))
		})
	c.Flags().StringVar(&owner, "for", "", "person ID; without it, you")
	return c
}

func newSuspicionAnswer() *cobra.Command {
	var a v1.Reply
	var ours suspicion.Ours
	var affected []string
	var none bool
	c := verb("answer SUSPICION --reason TEXT (--is ID/SOURCE | --new TITLE … | --duplicate-of SUSPICION | --none)", "Say what it is; its clock stops", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s suspicion.Suspicion, err error) {
			switch {
			case none:
				a.Kind = suspicion.IsNone
			case a.Of != "":
				a.Kind = suspicion.IsDuplicate
			default:
				a.Kind = suspicion.IsVulnerability
			}
			if ours.Title != "" {
				for _, text := range affected {
					release, fixed, _ := strings.Cut(text, "=")
					ours.Affected = append(ours.Affected, suspicion.Affected{Release: release, Fixed: fixed})
				}
				a.New = &ours
			}
			return s, c.post(ctx, "/suspicions/"+segment(args[0])+"/answers", a, &s)
		}, func(w io.Writer, s suspicion.Suspicion) {
			fate := s.Answer.Kind
			if names := s.Answer.Vulnerability + s.Answer.Of; names != "" {
				fate = fmt.Sprintf("%s %s", fate, names)
			}
			say(w, "%s: %s", orderview.Clean(s.ID), orderview.Clean(fate))
		})
	f := c.Flags()
	f.StringVar(&a.Reason, "reason", "", "why; the reporter reads it")
	f.StringVar(&a.Vulnerability, "is", "", "the vulnerability it is, ID/SOURCE, of one that is known")
	f.StringVar(&ours.Title, "new", "", "it is a new one with an identifier of our own: its title, which everyone reads")
	f.StringVar(&ours.Package, "package", "", "of a new one: the source package")
	f.StringVar(&ours.Severity, "severity", "", "of a new one: critical, high, medium or low")
	f.StringArrayVar(&affected, "affected", nil, "of a new one: RELEASE, or RELEASE=VERSION that is not affected any more; again for more")
	f.StringArrayVar(&ours.Hosts, "on", nil, "of a new one: a host whose package is affected; again for more")
	f.StringVar(&a.Of, "duplicate-of", "", "the suspicion it is a duplicate of")
	f.BoolVar(&none, "none", false, "it is no vulnerability")
	c.MarkFlagRequired("reason")
	return c
}
