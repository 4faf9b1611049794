package web

import (
	"bytes"
	"embed"
	"net/http"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

//go:embed static
var staticFiles embed.FS

// file is a static file with its name in URLs, which changes when its bytes do.
type file struct {
	bytes []byte
	tag   string // the beginning of its SHA-256
}

var static = readStatic()

func readStatic() map[string]file {
	all := map[string]file{}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // embedded: cannot fail
	}
	for _, e := range entries {
		b, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		all[e.Name()] = file{b, envelope.Digest(b)[:16]}
	}
	return all
}

// asset gives the URL of a static file.
func asset(name string) string { return "/static/" + name + "?" + static[name].tag }

func serveStatic(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	f, ok := static[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+f.tag+`"`)
	if r.URL.RawQuery == f.tag {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.bytes))
}
