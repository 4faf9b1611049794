package server

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
)

// People gives the people's door without its listener.
func (s *Server) People() (http.Handler, error) {
	doors, err := s.doors()
	if err != nil {
		return nil, err
	}
	return doors[0].Handler, nil
}

// people gives programs the API and browsers the pages.
func people(programs, pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(v1.Prefix+"/", programs)
	mux.Handle("/openapi.json", programs)
	mux.Handle("/", pages)
	return mux
}

// single makes a request whose body comes in chunks the last one of its connection. Where something between us and the
// client took another end of it to be the right one, what follows is no request of the client's. Source: RFC 9112, 6.1.
func single(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// strangers have this long to say what they want.
const strangers = 30 * time.Second

// known are hosts with a client certificate. Their objects may come over a slow line.
func known(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }

// importing are those who bring a source's bytes.
func importing(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/content") && (r.Method == http.MethodPut || r.Method == http.MethodPost)
}

// hurry gives all but some little time for a request's body: they cannot hold the door open. What is done with the body has
// its own time.
func hurry(next http.Handler, patience time.Duration, but func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && !but(r) {
			line := http.NewResponseController(w)
			if err := line.SetReadDeadline(time.Now().Add(patience)); err == nil {
				r.Body = &hurried{r.Body, line}
			} else if !errors.Is(err, http.ErrNotSupported) { // there is a line to wait on
				http.Error(w, "no deadline can be set", http.StatusInternalServerError)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

type hurried struct {
	io.ReadCloser
	line *http.ResponseController
}

// Read lifts the deadline once the body is there.
func (h *hurried) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) {
		if e := h.line.SetReadDeadline(time.Time{}); e != nil {
			return n, e
		}
	}
	return n, err
}
