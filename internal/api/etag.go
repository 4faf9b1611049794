package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchwarrant/patchwarrant/internal/db"
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

// name is the ETag of a document with these bytes.
func name(document []byte) string {
	sum := sha256.Sum256(document)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// tag names the document of a GET by its bytes, and sends none to who has it: it saves the way, not the work. Answers are
// for one person, so nothing on the way may keep them.
func tag(ctx huma.Context, next func(huma.Context)) {
	h := &held{outer: ctx}
	next(h)
	if h.status == http.StatusOK {
		etag := name(h.body.Bytes())
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

// Saved is a PUT that makes a thing under a name, or changes it. It is exported for huma to fill.
type Saved struct {
	Named
	IfMatch string `header:"If-Match" maxLength:"200" doc:"the ETag of what the change was made from; none: it is new"`
}

// base gives what a change was made from, by the ETag that its sender had of it: refused with code STALE where it is another by
// now, zero where the sender had none.
func base[T any](d *door, ifMatch string, read func() (T, error)) (now T, err error) {
	if ifMatch == "" {
		return now, nil
	}
	if now, err = read(); err != nil {
		return now, err
	}
	var b bytes.Buffer
	if err := d.api.Marshal(&b, "application/json", now); err != nil {
		return now, err
	}
	if strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/") != name(b.Bytes()) {
		err = db.Outdated("it was changed since you read it; look again")
	}
	return now, err
}
