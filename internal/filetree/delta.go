package filetree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// A delta makes one directory object out of another, its base: the magic, the base's SHA-256, then steps, each three minimal
// unsigned varints and bytes:
//
//	offset and length of what is copied from the base, number of the bytes that follow, these bytes
const deltaMagic = "pwdelta1\n"

// Delta writes an object as what differs from base, which is another object. Whole entries are copied or sent.
func Delta(base, object []byte) []byte {
	sum := sha256.Sum256(base)
	out := append([]byte(deltaMagic), sum[:]...)
	from, length, sent := 0, len(magic), []byte(nil)
	flush := func() {
		for _, n := range []int{from, length, len(sent)} {
			out = binary.AppendUvarint(out, uint64(n))
		}
		out = append(out, sent...)
	}
	was, is := reader[string]{b: string(base[min(len(magic), len(base)):])}, reader[string]{b: string(object[min(len(magic), len(object)):])}
	var ahead raw
	var entry string // ahead's bytes
	at := 0          // where they are in base
	for len(is.b) > 0 && !is.bad {
		before := is.b
		e := is.next()
		now := before[:len(before)-len(is.b)]
		for ahead.name < e.name && len(was.b) > 0 && !was.bad {
			at = len(base) - len(was.b)
			before := was.b
			ahead = was.next()
			entry = before[:len(before)-len(was.b)]
		}
		switch {
		case ahead.name != e.name || entry != now:
			sent = append(sent, now...)
		case len(sent) == 0 && from+length == at:
			length += len(now)
		default:
			flush()
			from, length, sent = at, len(now), nil
		}
	}
	flush()
	return out
}

// DeltaBase gives the digest of the object that a delta starts from. Errors: Invalid.
func DeltaBase(delta []byte) (string, error) {
	rest, ok := bytes.CutPrefix(delta, []byte(deltaMagic))
	if !ok || len(rest) < sha256.Size {
		return "", fault.New(fault.Invalid, "no delta of a directory object")
	}
	return hex.EncodeToString(rest[:sha256.Size]), nil
}

// Patch takes the steps of a delta from its base. Whether the outcome is the right object, its digest says. Errors: Invalid.
func Patch(base, delta []byte) ([]byte, error) {
	if _, err := DeltaBase(delta); err != nil {
		return nil, err
	}
	var out []byte
	for r := (reader[[]byte]{b: delta[len(deltaMagic)+sha256.Size:]}); len(r.b) > 0; {
		from, length := r.number(MaxObject), r.number(MaxObject)
		sent := r.bytes(int(r.number(MaxObject)))
		if r.bad || from+length > uint64(len(base)) || uint64(len(out)+len(sent))+length > MaxObject {
			return nil, fault.New(fault.Invalid, "delta of a directory object: a step leads beyond its base or bound")
		}
		out = append(append(out, base[from:from+length]...), sent...)
	}
	return out, nil
}

// Bases gives, by digest, the objects of directories of s that another state has with other content: what a delta can start from.
func (s *State) Bases(other *State) map[string][]byte {
	bases := map[string][]byte{}
	for at, r := range s.dirs {
		if was, ok := other.dirs[at]; ok && !bytes.Equal(was.object, r.object) {
			sum := sha256.Sum256(r.object)
			bases[hex.EncodeToString(sum[:])] = was.object
		}
	}
	return bases
}
