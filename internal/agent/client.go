package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const (
	talkTime = 2 * time.Minute // for one document or object
	fileTime = time.Hour       // for one carried file
)

// client speaks the protocol of package wire with one server.
type client struct {
	server string
	http   *http.Client
}

func newClient(server string, config *tls.Config) (*client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		return nil, fault.New(fault.Invalid, "the server's address must be https://HOST:PORT")
	}
	config.MinVersion = tls.VersionTLS13
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Minute,
		TLSHandshakeTimeout: 30 * time.Second}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{server: server, http: &http.Client{Transport: transport, CheckRedirect: refuse}}, nil
}

// post sends a document and reads the answer, of at most limit bytes; answer nil expects none.
func (c *client) post(ctx context.Context, path string, document any, limit int64, answer wire.Checker) error {
	b, err := json.Marshal(document)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, talkTime)
	defer cancel()
	return c.do(ctx, http.MethodPost, path, "application/json", b, func(body io.Reader) error {
		if answer == nil {
			return nil
		}
		return wire.Decode(body, limit, answer)
	})
}

// put uploads an object.
func (c *client) put(ctx context.Context, digest, kind string, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, talkTime)
	defer cancel()
	return c.do(ctx, http.MethodPut, wire.ObjectPath+digest, kind, b, nil)
}

// get downloads a carried file into w.
func (c *client) get(ctx context.Context, order, path string, w io.Writer, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	target := &url.URL{Path: wire.FilePath + order + "/" + path}
	return c.do(ctx, http.MethodGet, target.EscapedPath(), "", nil, func(body io.Reader) error {
		n, err := io.Copy(w, io.LimitReader(body, size+1))
		if err == nil && n != size {
			return fault.New(fault.Unavailable, "file %s: %w: %d, not %d", path, errOther, n, size)
		}
		return err
	})
}

func (c *client) do(ctx context.Context, method, path, kind string, body []byte, read func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fault.New(fault.Unavailable, "%s %s: %w", method, path, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: server answers %d: %w", method, path, answer.StatusCode, problem(answer))
	}
	if read == nil {
		return nil
	}
	if err := read(answer.Body); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// problem reads the server's error; an answer that is none of the protocol's (a proxy's, a crash's) counts as Unavailable.
func problem(answer *http.Response) error {
	var p wire.Problem
	if err := wire.Decode(answer.Body, 64<<10, &p); err != nil {
		return fault.New(fault.Unavailable, "no readable reason given")
	}
	if p.Code != "" {
		return fault.Refuse(p.Code, "%.500s", p.Detail)
	}
	return fault.New(fault.Kind(p.Kind), "%.500s", p.Detail)
}
