package curation

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Door serves the repository to apt. Below its root:
//
//	dists/CHANNEL/… and dists/snapshots/DIGEST/…   InRelease, main/binary-ARCH/{Packages,Packages.gz,by-hash/SHA256/DIGEST}
//	pool/DIGEST/NAME_VERSION_ARCH.deb              packages of signed snapshots only
//
// Anything else is not found. It needs no login: everything served is public to hosts and checked by signature.
func (c *Curation) Door() http.Handler {
	mux := http.NewServeMux()
	for pattern, suite := range map[string]func(*http.Request) string{
		"GET /dists/{channel}":          func(r *http.Request) string { return r.PathValue("channel") },
		"GET /dists/snapshots/{digest}": func(r *http.Request) string { return snapshotSuite(r.PathValue("digest")) },
	} {
		mux.HandleFunc(pattern+"/InRelease", func(w http.ResponseWriter, r *http.Request) { c.serveRelease(w, r, suite(r)) })
		mux.HandleFunc(pattern+"/main/{binary}/{index}", func(w http.ResponseWriter, r *http.Request) { c.serveIndex(w, r, suite(r)) })
		mux.HandleFunc(pattern+"/main/{binary}/by-hash/SHA256/{hash}", func(w http.ResponseWriter, r *http.Request) {
			c.serveFile(w, r, "by-hash/"+r.PathValue("hash"))
		})
	}
	mux.HandleFunc("GET /pool/{digest}/{file}", func(w http.ResponseWriter, r *http.Request) {
		c.serveFile(w, r, "pool/"+r.PathValue("digest")+"/"+r.PathValue("file"))
	})
	return mux
}

// serveRelease answers with a suite's InRelease, which clients ask for again only when it changed.
func (c *Curation) serveRelease(w http.ResponseWriter, r *http.Request, suite string) {
	var p publication
	err := c.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		p, err = loadPublication(r.Context(), tx, suite)
		return err
	})
	var b []byte
	if err == nil {
		b, err = blob.ReadAll(r.Context(), c.Blobs, p.release, p.size)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeContent(w, r, "", p.signedAt, bytes.NewReader(b))
}

// serveIndex answers with the index of what a suite shows now.
func (c *Curation) serveIndex(w http.ResponseWriter, r *http.Request, suite string) {
	var f file
	err := c.DB.Read(r.Context(), func(tx *db.Tx) error {
		p, err := loadPublication(r.Context(), tx, suite)
		if err != nil {
			return err
		}
		f, err = c.index(r.Context(), tx, p.record, r.PathValue("binary"), r.PathValue("index"))
		return err
	})
	if err != nil {
		refuse(w, err)
		return
	}
	c.send(w, r, f)
}

func (c *Curation) index(ctx context.Context, tx *db.Tx, record, binary, name string) (file, error) {
	w, err := loadRecord(ctx, tx, record)
	if err != nil {
		return file{}, err
	}
	for _, arch := range w.arches {
		switch {
		case binary == "binary-"+arch && name == "Packages":
			return file{sha256: w.index, size: w.indexSize}, nil
		case binary == "binary-"+arch && name == "Packages.gz":
			return file{sha256: w.packed, size: w.packedSize}, nil
		}
	}
	return file{}, fault.New(fault.NotFound, "there is no index %s/%s", binary, name)
}

// serveFile answers with a file that a signed snapshot lets out.
func (c *Curation) serveFile(w http.ResponseWriter, r *http.Request, path string) {
	var f file
	err := c.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		f, err = loadFile(r.Context(), tx, path)
		return err
	})
	if err != nil {
		refuse(w, err)
		return
	}
	c.send(w, r, f)
}

// send answers with a blob. Bytes that turn out to be damaged break the connection off: they never arrive as a whole file.
func (c *Curation) send(w http.ResponseWriter, r *http.Request, f file) {
	body, err := c.Blobs.Open(r.Context(), f.sha256)
	if err != nil {
		refuse(w, err)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(f.size, 10))
	w.Header().Set("ETag", `"`+f.sha256+`"`)
	if r.Method == http.MethodHead {
		return
	}
	if err := copyWhole(w, body, f.size); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// copyWhole copies size bytes; the last goes out only when the digest of all was found right.
func copyWhole(w io.Writer, body io.Reader, size int64) error {
	if _, err := io.CopyN(w, body, size-1); err != nil {
		return err
	}
	last, err := io.ReadAll(io.LimitReader(body, 2))
	if err == nil && len(last) != 1 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = w.Write(last)
	}
	return err
}

// refuse says no more than that something is not there, or not now.
func refuse(w http.ResponseWriter, err error) {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid:
		http.Error(w, "not found", http.StatusNotFound)
	default:
		http.Error(w, "not available", http.StatusServiceUnavailable)
	}
}
