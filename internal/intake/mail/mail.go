// Package mail reads the mails of announcement lists, as an mbox or one by one (Maildir): each is a bulletin for a person to
// read, with the word whether a pinned key signed it.
package mail

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"path"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// Bounds, in bytes, mails, and levels of a mail's parts.
const (
	MaxMail  = 4 << 20
	MaxBytes = 256 << 20 // of an mbox
	maxMails = 100_000
	maxDepth = 5
	maxParts = 50
	maxTitle = 500
)

// Keys checks signatures by pinned keys; a nil function: there are none, and no mail counts as signed.
type Keys struct {
	Detached func(signed io.ReadSeeker, signature []byte) (pgp.Signature, error)
	Clear    func(document []byte) (text []byte, good pgp.Signature, err error)
}

// Mbox gives a parser of an mbox. A mail that cannot be read is fault.Invalid, and so is an mbox without any. Source of the
// format: RFC 4155; lines that begin with "From " inside a mail have ">" before them.
func Mbox(keys Keys) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		reading := intake.Reading{Window: true}
		err := split(r, func(message []byte) error {
			b, err := keys.read(message)
			if err != nil {
				return fault.New(fault.Invalid, "mail %d: %w", len(reading.Bulletins)+1, err)
			}
			reading.Bulletins = append(reading.Bulletins, b)
			return nil
		})
		return reading, err
	}
}

// Message gives a parser of one mail of a Maildir.
func Message(keys Keys) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) {
		message, err := io.ReadAll(io.LimitReader(r, MaxMail+1))
		if err != nil {
			return intake.Reading{}, err
		}
		if len(message) > MaxMail {
			return intake.Reading{}, fault.New(fault.Invalid, "the mail is larger than %d bytes", MaxMail)
		}
		b, err := keys.read(message)
		return intake.Reading{Bulletins: []intake.Bulletin{b}, Window: true}, err
	}
}

// InMaildir says whether a file is a mail of a Maildir.
func InMaildir(name string) bool {
	dir := path.Base(path.Dir(name))
	return dir == "cur" || dir == "new"
}

// split calls each for every mail of an mbox.
func split(r io.Reader, each func([]byte) error) error {
	lines := bufio.NewReader(io.LimitReader(r, MaxBytes+1))
	var message bytes.Buffer
	n, blank := 0, true
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		begins := blank && bytes.HasPrefix(line, []byte("From "))
		if n == 0 && !begins && len(line) > 0 {
			return fault.New(fault.Invalid, "mail: no mbox: its first line does not begin with From")
		}
		if begins || errors.Is(err, io.EOF) && len(line) == 0 {
			if message.Len() > 0 {
				if err := each(message.Bytes()); err != nil {
					return err
				}
			}
			message = bytes.Buffer{}
		}
		if begins {
			if n++; n > maxMails {
				return fault.New(fault.Invalid, "mail: more than %d mails", maxMails)
			}
		} else {
			message.Write(unquoted(line))
		}
		if message.Len() > MaxMail {
			return fault.New(fault.Invalid, "mail %d is larger than %d bytes", n, MaxMail)
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		blank = len(bytes.TrimRight(line, "\r\n")) == 0
	}
	if n == 0 {
		return fault.New(fault.Invalid, "mail: the mbox is empty")
	}
	return nil
}

// unquoted takes back what a mailer puts before "From " inside a mail.
func unquoted(line []byte) []byte {
	if rest := bytes.TrimLeft(line, ">"); len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From ")) {
		return line[1:]
	}
	return line
}

// read makes a bulletin of one mail.
func (k Keys) read(message []byte) (intake.Bulletin, error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil { // which may repeat all that it is about
		return intake.Bulletin{}, fault.New(fault.Invalid, "not a mail: %s", intake.Clip(err.Error(), 200))
	}
	if m.Header.Get("From") == "" { // RFC 5322, 3.6: no mail is without
		return intake.Bulletin{}, fault.New(fault.Invalid, "not a mail: nobody is named as its author")
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return intake.Bulletin{}, fault.New(fault.Invalid, "not a mail: %w", err)
	}
	p := parts{keys: k, signature: "none"}
	if err := p.take(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), body, 0); err != nil {
		return intake.Bulletin{}, err
	}
	title, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		title = m.Header.Get("Subject")
	}
	text, names := p.text.String(), []string{title, p.text.String()}
	if p.signature == good { // what is beside the signed text, as the title is, nobody signed
		text, names = p.signed.String(), []string{p.signed.String()}
	}
	sum := sha256.Sum256(message)
	b := intake.Bulletin{ID: cmp.Or(messageID(m.Header.Get("Message-ID")), "sha256:"+hex.EncodeToString(sum[:])), Title: intake.Clip(title, maxTitle),
		Text: intake.Clip(text, intake.MaxBulletin), Names: intake.Named(names...), SignedBy: p.by.By, Signature: p.signature}
	if at, err := m.Header.Date(); p.signature == good {
		b.Published = p.by.At // the date can be anyone's
	} else if err == nil {
		b.Published = at.UTC()
	}
	if thread := strings.Fields(m.Header.Get("References")); len(thread) > 0 {
		b.Thread = messageID(thread[0])
	} else {
		b.Thread = messageID(m.Header.Get("In-Reply-To"))
	}
	return b, nil
}

func messageID(s string) string { return intake.Clip(strings.Trim(strings.TrimSpace(s), "<>"), 300) }

const good = "good"

// parts collects the text of a mail and what is known of its signature.
type parts struct {
	keys         Keys
	n            int
	inside       bool // of what a good signature covers
	text, signed strings.Builder
	by           pgp.Signature
	signature    string
}

// take reads one part of a mail. Parts that are no text are passed over.
func (p *parts) take(contentType, encoding string, body []byte, depth int) error {
	if p.n++; p.n > maxParts || depth > maxDepth {
		return fault.New(fault.Invalid, "the mail has more than %d parts, or parts nested deeper than %d", maxParts, maxDepth)
	}
	kind, parameters, err := mime.ParseMediaType(cmp.Or(contentType, "text/plain"))
	if err != nil {
		kind = "text/plain"
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		if kind == "multipart/signed" {
			if part, ok := p.verify(body, parameters["boundary"]); ok {
				return p.covered(part, depth)
			}
		}
		return p.several(body, parameters["boundary"], depth)
	case kind == "text/plain":
		text, err := decoded(body, encoding)
		if err != nil {
			return fault.New(fault.Invalid, "a part of the mail is damaged: %w", err)
		}
		if bytes.Contains(text, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
			var ok bool
			if text, ok = p.clear(text); ok {
				defer p.enter()()
			}
		}
		p.write(append(bytes.ToValidUTF8(text, []byte("?")), '\n'))
	}
	return nil
}

// covered reads the part that a good signature stands beside, and it alone.
func (p *parts) covered(part []byte, depth int) error {
	defer p.enter()()
	m, err := mail.ReadMessage(bytes.NewReader(bytes.ReplaceAll(part, []byte("\r\n"), []byte("\n"))))
	if err != nil {
		return fault.New(fault.Invalid, "a part of the mail is damaged: %s", intake.Clip(err.Error(), 200))
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return fault.New(fault.Invalid, "a part of the mail is damaged: %w", err)
	}
	return p.take(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), body, depth+1)
}

// enter says that what is read next is covered by a good signature, until the function it gives is called.
func (p *parts) enter() (leave func()) {
	was := p.inside
	p.inside = true
	return func() { p.inside = was }
}

func (p *parts) write(text []byte) {
	p.text.Write(text)
	if p.inside {
		p.signed.Write(text)
	}
}

func (p *parts) several(body []byte, boundary string, depth int) error {
	if boundary == "" {
		return fault.New(fault.Invalid, "a mail of several parts does not say what divides them")
	}
	all := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := all.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.New(fault.Invalid, "a mail of several parts is damaged: %w", err)
		}
		inner, err := io.ReadAll(part)
		if err != nil {
			return fault.New(fault.Invalid, "a mail of several parts is damaged: %w", err)
		}
		if err := p.take(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), inner, depth+1); err != nil {
			return err
		}
	}
}

func decoded(body []byte, encoding string) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
	}
	return body, nil
}

// note keeps what came of a signature. One bad signature outweighs a good one.
func (p *parts) note(by pgp.Signature, err error) (ok bool) {
	switch {
	case err != nil:
		p.by, p.signature = pgp.Signature{}, intake.Clip("counts for nothing: "+err.Error(), 300)
	case p.signature == "none":
		p.by, p.signature = by, good
	}
	return err == nil
}

var errNoKeys = errors.New("no keys are pinned for this source")

// clear checks a clear-signed text and gives what was signed. Text around the signed message is dropped: nobody signed it.
func (p *parts) clear(text []byte) ([]byte, bool) {
	const begin, end = "-----BEGIN PGP SIGNED MESSAGE-----", "-----END PGP SIGNATURE-----"
	document := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	from, to := bytes.Index(document, []byte(begin)), bytes.Index(document, []byte(end))
	if p.keys.Clear == nil {
		return text, p.note(pgp.Signature{}, errNoKeys)
	}
	if from < 0 || to < from {
		return text, p.note(pgp.Signature{}, errors.New("the signed text has no end"))
	}
	plain, by, err := p.keys.Clear(append(bytes.Clone(document[from:to+len(end)]), '\n'))
	if err != nil {
		plain = text
	}
	return plain, p.note(by, err)
}

// verify checks PGP/MIME: the first part, exactly as it stands, by the second. It gives that part. Source: RFC 3156, section 5.
func (p *parts) verify(body []byte, boundary string) (part []byte, ok bool) {
	if p.keys.Detached == nil {
		return nil, p.note(pgp.Signature{}, errNoKeys)
	}
	canonical := bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	pieces := bytes.Split(append([]byte("\r\n"), canonical...), []byte("\r\n--"+boundary))
	if boundary == "" || len(pieces) != 4 {
		return nil, p.note(pgp.Signature{}, errors.New("the mail has not the two parts of a signed one"))
	}
	_, signature, found := bytes.Cut(pieces[2], []byte("\r\n\r\n"))
	if !found {
		return nil, p.note(pgp.Signature{}, errors.New("the mail has no signature"))
	}
	part = bytes.TrimPrefix(pieces[1], []byte("\r\n"))
	by, err := p.keys.Detached(bytes.NewReader(part), signature)
	return part, p.note(by, err)
}
