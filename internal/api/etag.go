package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// outer lets a type embed a context, which has a method Context.
type outer = huma.Context

// held is an answer that waits until it is known whether the caller has it already.
type held struct {
	outer
	status int
	body   bytes.Buffer
}

func (h *held) SetStatus(code int)    { h.status = code }
func (h *held) Status() int           { return h.status }
func (h *held) BodyWriter() io.Writer { return &h.body }
func (h *held) Unwrap() huma.Context  { return h.outer }

// tag names the document of a GET by its bytes, and sends none to who has it: it saves the way, not the work. Answers are
// for one person, so nothing on the way may keep them.
func tag(ctx huma.Context, next func(huma.Context)) {
	h := &held{outer: ctx}
	next(h)
	if h.status == http.StatusOK {
		sum := sha256.Sum256(h.body.Bytes())
		etag := `"` + hex.EncodeToString(sum[:16]) + `"`
		ctx.SetHeader("ETag", etag)
		ctx.SetHeader("Cache-Control", "private, no-cache")
		for one := range strings.SplitSeq(ctx.Header("If-None-Match"), ",") {
			if strings.TrimPrefix(strings.TrimSpace(one), "W/") == etag {
				ctx.SetStatus(http.StatusNotModified)
				return
			}
		}
	}
	ctx.SetStatus(h.status)
	_, _ = ctx.BodyWriter().Write(h.body.Bytes()) // a caller who went away
}
