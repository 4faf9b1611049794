package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// maxAnswer bounds what a server may answer, in bytes; evidence bundles are streamed and have their own bound.
const maxAnswer = 64 << 20

// session is what `login` remembers, in a file only its owner can read.
type session struct {
	Server string `json:"server"`
	CA     string `json:"ca"` // sha256 of the server's CA certificate
	Person string `json:"person"`
	Key    string `json:"key,omitempty"` // private key file; empty: ssh-agent
	Token  string `json:"token"`

	Origins map[string]string `json:"origins,omitempty"` // of every server that was logged in to, by its CA
}

// sessionFile is $PATCHWARRANT_SESSION, or patchwarrant/session.json in the user's configuration directory.
func sessionFile() (string, error) {
	if path := os.Getenv("PATCHWARRANT_SESSION"); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fault.New(fault.Invalid, "no place for the session: %w; set PATCHWARRANT_SESSION to a file", err)
	}
	return filepath.Join(dir, "patchwarrant", "session.json"), nil
}

// tokenVariable names the file of a program's token, as `token make` writes it; it goes before the session.
const tokenVariable = "PATCHWARRANT_TOKEN_FILE"

func loadSession() (session, error) {
	var s session
	path, err := sessionFile()
	if token := os.Getenv(tokenVariable); token != "" {
		path, err = token, private(token)
	}
	if err != nil {
		return s, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fault.New(fault.Unauthenticated, "not logged in: patchwarrant login --server URL --ca SHA256 --person ID")
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Server == "" || s.CA == "" {
		return s, fault.New(fault.Invalid, "%s is not a session: log in again", path)
	}
	return s, nil
}

// pinnedOrigins gives the origins that earlier logins left.
func pinnedOrigins() (map[string]string, error) {
	path, err := sessionFile()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s session
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fault.New(fault.Invalid, "%s is not a session: remove it and log in again with --origin", path)
	}
	return s.Origins, nil
}

func (s session) save() error {
	path, err := sessionFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// client talks to the server as a person.
type client struct {
	session
	http *http.Client
}

func newClient(s session) (*client, error) {
	u, err := url.Parse(s.Server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "the server's address must be https://HOST:PORT")
	}
	if !envelope.ValidDigest(s.CA) {
		return nil, fault.New(fault.Invalid, "the hash of the server's CA is a SHA-256, in 64 lower-case hex digits: patchwarrantd init prints it (ca_sha256)")
	}
	return &client{s, &http.Client{
		Transport:     &http.Transport{TLSClientConfig: wire.Pinned(s.CA, u.Hostname(), time.Now), TLSHandshakeTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// connect takes up the session that login left.
func connect() (*client, error) {
	s, err := loadSession()
	if err != nil {
		return nil, err
	}
	return newClient(s)
}

// get reads a document below the API's prefix.
func (c *client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// post sends a document and reads the answer; nil stands for none.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	if in == nil {
		in = struct{}{}
	}
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	return c.do(ctx, method, path, body, func(r io.Reader) error {
		if out == nil {
			return nil
		}
		b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
		if err != nil {
			return err
		}
		if len(b) > maxAnswer {
			return fault.New(fault.Unavailable, "the server's answer is over %d bytes", maxAnswer)
		}
		if err := json.Unmarshal(b, out); err != nil {
			return fault.New(fault.Unavailable, "the server's answer is not what this version understands: %w", err)
		}
		return nil
	})
}

// do sends a request whose body is a document, or bytes to import, and hands the answer's body to read.
func (c *client) do(ctx context.Context, method, path string, body io.Reader, read func(io.Reader) error) error {
	return c.send(ctx, method, path, "", body, func(answer *http.Response) error { return read(answer.Body) })
}

// send is do with the document that the request was made from, by its ETag where it is not empty.
func (c *client) send(ctx context.Context, method, path, from string, body io.Reader, read func(*http.Response) error) error {
	r, err := http.NewRequestWithContext(ctx, method, c.Server+v1.Prefix+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if from != "" {
		r.Header.Set("If-Match", from)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fault.New(fault.Unavailable, "reach the server: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return problem(answer)
	}
	return read(answer)
}

// read takes the document at a path into now, and gives its ETag.
func (c *client) read(ctx context.Context, path string, now any) (etag string, err error) {
	return etag, c.send(ctx, http.MethodGet, path, "", nil, func(answer *http.Response) error {
		etag = answer.Header.Get("ETag")
		return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(now)
	})
}

// put makes what stands under a name, or changes it as it is now: what somebody else changes meanwhile is never written over.
// The document is made after now was read, which stays empty where there is nothing yet.
func (c *client) put(ctx context.Context, path string, now any, document func() (any, error), after any) error {
	etag, err := c.read(ctx, path, now)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	d, err := document()
	if err != nil {
		return err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return c.send(ctx, http.MethodPut, path, etag, bytes.NewReader(b), func(answer *http.Response) error {
		return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(after)
	})
}

func problem(answer *http.Response) error {
	var p v1.Problem
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || !strings.HasPrefix(answer.Header.Get("Content-Type"), v1.ProblemType) || json.Unmarshal(b, &p) != nil {
		return fault.New(fault.Unavailable, "the server answered %s", answer.Status)
	}
	if p.Kind == fault.Unauthenticated {
		p.Detail += " (patchwarrant login)"
	}
	return p.Fault()
}

// verb makes a command that talks to the server: do works, and show prints its result unless --json asks for the document.
func verb[T any](use, short string, args cobra.PositionalArgs, do func(context.Context, *client, []string) (T, error),
	show func(io.Writer, T)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		c, err := connect()
		if err != nil {
			return err
		}
		result, err := do(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), result)
		}
		show(cmd.OutOrStdout(), result)
		return nil
	}}
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

// noun groups verbs. Alone it lists them; a verb it does not have is a wrong command line.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(verbs...)
	return c
}

// segment makes a name safe as one segment of a path.
func segment(s string) string { return url.PathEscape(s) }

// query makes a text safe as the value of a query parameter.
func query(s string) string { return url.QueryEscape(s) }

// say prints a formatted line.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
