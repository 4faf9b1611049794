package api

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
)

// Public is the door for machines that trust signatures and not the way they came, read-only and without a login: the
// curated repository for apt under /repository/, and the ledger for witnesses under /ledger/ in its C2SP form (checkpoint
// and tiles of hashes). What the entries say is for people: it stands in the API.
func Public(l *ledger.Ledger, repository http.Handler, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /repository/", http.StripPrefix("/repository", repository))
	mux.HandleFunc("GET /ledger/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		text, err := l.Checkpoint(r.Context())
		write(w, log, "text/plain; charset=utf-8", "no-cache", []byte(text), err)
	})
	mux.HandleFunc("GET /ledger/tile/{path...}", func(w http.ResponseWriter, r *http.Request) {
		path := "tile/" + r.PathValue("path")
		if strings.HasPrefix(path, "tile/entries/") {
			http.NotFound(w, r)
			return
		}
		b, err := l.Tile(r.Context(), path)
		write(w, log, "application/octet-stream", "public, max-age=31536000, immutable", b, err)
	})
	return mux
}

// write answers with bytes, or that there are none. What is wrong inside is for the log.
func write(w http.ResponseWriter, log *slog.Logger, contentType, cache string, b []byte, err error) {
	if kind := fault.KindOf(err); err != nil && (kind == fault.NotFound || kind == fault.Invalid) {
		http.Error(w, "not found", http.StatusNotFound)
		return
	} else if err != nil {
		log.Error("public door", "error", err)
		http.Error(w, "not available", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write(b); err != nil {
		log.Debug("write answer", "error", err)
	}
}
