// Package bundle is the container of sealed evidence: an uncompressed tar of which every byte is determined by the
// members' names and contents, with an index of their digests as first member.
package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// IndexName is the name of the index, always the first member.
const IndexName = "bundle.json"

// Format is the version of the container, written in the index.
const Format = "https://patchwarrant.org/bundle/v1"

// Bounds on what Read accepts; Write refuses to exceed them.
const (
	MaxBytes   = 1 << 30
	MaxMembers = 100_000
	maxName    = 100 // fits a plain ustar header
)

// CodeContainer marks every refusal of this package.
const CodeContainer = "CONTAINER"

// Member is one file of a bundle. Its Name is a clean relative path of lower case letters, digits and "./_-".
type Member struct {
	Name string
	Data []byte
}

// Bundle is a container that was read whole and found to be exactly what Write makes of its members.
type Bundle struct {
	members []Member
}

type index struct {
	Format  string  `json:"format"`
	Members []entry `json:"members"`
}

type entry struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Pack makes the container. Members are put in the order of their names; two of one name are refused.
func Pack(members []Member) ([]byte, error) {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	if err := check(sorted); err != nil {
		return nil, err
	}
	head, err := indexOf(sorted)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range append([]Member{{IndexName, head}}, sorted...) {
		if err := w.WriteHeader(header(m)); err != nil {
			return nil, fault.New(fault.Invalid, "bundle member %q: %w", m.Name, err)
		}
		if _, err := w.Write(m.Data); err != nil {
			return nil, fault.New(fault.Invalid, "bundle member %q: %w", m.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fault.New(fault.Internal, "close bundle: %w", err)
	}
	return out.Bytes(), nil
}

func check(sorted []Member) error {
	total := 0
	for i, m := range sorted {
		if !validName(m.Name) || m.Name == IndexName {
			return fault.Refuse(CodeContainer, "bundle member %d has no proper name: %q", i, m.Name)
		}
		if i > 0 && sorted[i-1].Name == m.Name {
			return fault.Refuse(CodeContainer, "bundle member %q occurs twice", m.Name)
		}
		total += len(m.Data)
	}
	if len(sorted) > MaxMembers || total > MaxBytes {
		return fault.Refuse(CodeContainer, "bundle of %d members and %d bytes is over the limit", len(sorted), total)
	}
	return nil
}

func validName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("./_-", c) >= 0) {
			return false
		}
	}
	return name != "" && len(name) <= maxName && path.Clean(name) == name &&
		!strings.HasPrefix(name, "/") && !strings.HasPrefix(name, ".")
}

func indexOf(sorted []Member) ([]byte, error) {
	x := index{Format: Format, Members: make([]entry, 0, len(sorted))}
	for _, m := range sorted {
		sum := sha256.Sum256(m.Data)
		x.Members = append(x.Members, entry{m.Name, hex.EncodeToString(sum[:]), int64(len(m.Data))})
	}
	b, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return nil, fault.New(fault.Internal, "encode bundle index: %w", err)
	}
	return append(b, '\n'), nil
}

func header(m Member) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeReg, Name: m.Name, Size: int64(len(m.Data)), Mode: 0o444,
		ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatUSTAR,
	}
}

// Unpack reads a container of at most MaxBytes and names the first member whose bytes differ from the index; any other
// difference from what Pack makes of the same members (headers, padding, order, trailer) is refused as well.
func Unpack(b []byte) (*Bundle, error) {
	if len(b) > MaxBytes+MaxMembers*1024 {
		return nil, fault.Refuse(CodeContainer, "bundle of %d bytes is over the limit of %d", len(b), MaxBytes)
	}
	all, err := split(b)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0].Name != IndexName {
		return nil, fault.Refuse(CodeContainer, "the first member is not %s", IndexName)
	}
	head, members := all[0].Data, all[1:]
	if err := compareIndex(head, members); err != nil {
		return nil, err
	}
	again, err := Pack(members)
	if err != nil {
		return nil, err
	}
	if at := firstDifference(b, again); at >= 0 {
		return nil, fault.Refuse(CodeContainer, "byte %d of the container, in a header or in padding, is not what its members give", at)
	}
	return &Bundle{members: members}, nil
}

func split(b []byte) ([]Member, error) {
	r := tar.NewReader(bytes.NewReader(b))
	var all []Member
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fault.Refuse(CodeContainer, "the container after %d members cannot be read: %w", len(all), err)
		}
		if len(all) > MaxMembers || h.Size > int64(len(b)) {
			return nil, fault.Refuse(CodeContainer, "the container claims more than it can hold at %q", h.Name)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, fault.Refuse(CodeContainer, "member %q is cut short: %w", h.Name, err)
		}
		all = append(all, Member{h.Name, data})
	}
}

func compareIndex(head []byte, members []Member) error {
	var claimed index
	if err := json.Unmarshal(head, &claimed); err != nil {
		return fault.Refuse(CodeContainer, "%s cannot be read: %w", IndexName, err)
	}
	for i, m := range members {
		if i >= len(claimed.Members) || claimed.Members[i].Name != m.Name {
			return fault.Refuse(CodeContainer, "member %q is not at its place in %s", m.Name, IndexName)
		}
		sum := sha256.Sum256(m.Data)
		if got := hex.EncodeToString(sum[:]); claimed.Members[i].SHA256 != got {
			return fault.Refuse(CodeContainer, "member %q was changed: its digest is %s, not %s", m.Name, got, claimed.Members[i].SHA256)
		}
	}
	if len(claimed.Members) > len(members) {
		return fault.Refuse(CodeContainer, "member %q of %s is missing", claimed.Members[len(members)].Name, IndexName)
	}
	rebuilt, err := indexOf(members)
	if err != nil {
		return err
	}
	if !bytes.Equal(head, rebuilt) {
		return fault.Refuse(CodeContainer, "%s is not in the form its members give", IndexName)
	}
	return nil
}

// firstDifference gives the offset of the first byte in which a and b differ, or -1.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// Members gives all members but the index, in order of name. The bytes are shared: callers do not change them.
func (b *Bundle) Members() []Member { return b.members }

// Under gives the members whose names begin with prefix, in order of name.
func (b *Bundle) Under(prefix string) []Member {
	var found []Member
	for _, m := range b.members {
		if strings.HasPrefix(m.Name, prefix) {
			found = append(found, m)
		}
	}
	return found
}

// Get gives one member's bytes.
func (b *Bundle) Get(name string) ([]byte, bool) {
	i, ok := slices.BinarySearchFunc(b.members, name, func(m Member, n string) int { return strings.Compare(m.Name, n) })
	if !ok {
		return nil, false
	}
	return b.members[i].Data, true
}
