package server

import (
	"net/http"
	"strings"
	"testing"
)

// TestOneDoorForBrowsersAndPrograms: pages at /, the API below its prefix, each with its own way to refuse.
func TestOneDoorForBrowsersAndPrograms(t *testing.T) {
	w := open(t, "")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]struct {
		status int
		kind   string
	}{
		"/": {http.StatusSeeOther, "text/html"}, "/sign-in": {http.StatusOK, "text/html"}, "/api/v1/hosts": {http.StatusUnauthorized, "application/problem+json"},
		"/openapi.json": {http.StatusOK, "application/openapi+json"}, "/api/v1/nothing": {http.StatusNotFound, "text/plain"},
	} {
		answer, err := browser.Get(w.doors[0].URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want.status || !strings.HasPrefix(answer.Header.Get("Content-Type"), want.kind) {
			t.Errorf("%s: %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
		}
	}
}
