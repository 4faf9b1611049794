package web

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

type ledgerBody struct {
	Entries       []ledger.Entry
	Checkpoint    proof.Checkpoint
	Text          string // of the signed checkpoint
	Root          string
	Kind, Subject string
	Further       string // index before which the next page ends
	Audit         *ledger.Report
}

const ledgerPage = 50

func (s *site) ledger(v *visit) error {
	body, err := s.ledgerBody(v)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "ledger", "Ledger", body)
}

// ledgerBody reads a page of acts, the newest first, under a checkpoint that was verified.
func (s *site) ledgerBody(v *visit) (body ledgerBody, err error) {
	ctx, q := v.r.Context(), v.r.URL.Query()
	body.Kind, body.Subject = q.Get("kind"), q.Get("subject")
	if body.Text, err = s.Ledger.Checkpoint(ctx); err != nil {
		return body, err
	}
	if body.Checkpoint, err = proof.OpenCheckpoint(body.Text, []string{s.Ledger.Verifier}, s.Ledger.Origin); err != nil {
		return body, err
	}
	body.Root = fmt.Sprintf("%x", body.Checkpoint.Root)
	before, err := strconv.ParseInt(q.Get("before"), 10, 64)
	if err != nil || before < 1 {
		before = 0
	}
	body.Entries, err = s.Ledger.List(ctx, ledger.Filter{KindPrefix: body.Kind, Subject: body.Subject, Before: before, Newest: true, Limit: ledgerPage + 1})
	if len(body.Entries) > ledgerPage {
		body.Entries = body.Entries[:ledgerPage]
		body.Further = strconv.FormatInt(body.Entries[ledgerPage-1].Index, 10)
	}
	return body, err
}

type actBody struct {
	ledger.Entry
	Detail, Bytes string
	Logged        proof.Logged
	Hashes        []string
	Verified      bool
	Checkpoint    proof.Checkpoint
}

// act shows one entry with the proof that it is in the ledger, checked before it is shown.
func (s *site) act(v *visit) error {
	index, err := strconv.ParseInt(v.r.PathValue("index"), 10, 64)
	if err != nil || index < 0 {
		return fault.New(fault.NotFound, "acts are numbered from 0")
	}
	e, err := s.Ledger.Entry(v.r.Context(), index)
	if err != nil {
		return err
	}
	body := actBody{Entry: e, Bytes: string(e.Bytes)}
	if len(e.Act.Detail) > 0 {
		if body.Detail, err = indented(e.Act.Detail); err != nil {
			return err
		}
	}
	if body.Logged, err = s.Ledger.Prove(v.r.Context(), index); err != nil {
		return err
	}
	for _, h := range body.Logged.Hashes {
		body.Hashes = append(body.Hashes, fmt.Sprintf("%x", h))
	}
	_, body.Checkpoint, err = body.Logged.Verify([]string{s.Ledger.Verifier}, s.Ledger.Origin)
	body.Verified = err == nil
	return v.show(http.StatusOK, "act", "Act "+strconv.FormatInt(index, 10), body)
}

func (s *site) auditLedger(v *visit) error {
	report, err := s.Ledger.Audit(v.r.Context(), nil)
	if err != nil {
		return err
	}
	body, err := s.ledgerBody(v)
	if err != nil {
		return err
	}
	body.Audit = &report
	return v.show(http.StatusOK, "ledger", "Ledger", body)
}

// fact gives the bytes that an act cites, as a download: they are foreign and never shown as a page of ours.
func (s *site) fact(v *visit) error {
	id := v.r.PathValue("id")
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fault.New(fault.NotFound, "a fact is named by 64 hexadecimal digits")
	}
	r, err := s.Blobs.Open(v.r.Context(), id)
	if err != nil {
		return err
	}
	defer r.Close()
	v.download(id + ".bin")
	if _, err := io.Copy(v.w, r); err != nil {
		s.Log.Error("send fact", "error", err)
		panic(http.ErrAbortHandler) // the browser must not take a part for the whole
	}
	return nil
}

// download makes the answer a file to be saved.
func (v *visit) download(name string) {
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}
