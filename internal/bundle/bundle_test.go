package bundle

import (
	"bytes"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

func sample() []Member {
	return []Member{
		{"orders/b.json", []byte(`{"b":1}`)},
		{"orders/a.json", []byte(`{"a":1}`)},
		{"facts/0123", bytes.Repeat([]byte("x"), 700)},
		{"empty", nil},
	}
}

func TestPackIsDeterministicAndUnpackGivesTheMembersBack(t *testing.T) {
	one, err := Pack(sample())
	if err != nil {
		t.Fatal(err)
	}
	reversed := sample()
	reversed[0], reversed[3] = reversed[3], reversed[0]
	two, err := Pack(reversed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("the order of the members given changes the container")
	}
	b, err := Unpack(one)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := b.Get("orders/a.json"); !ok || string(got) != `{"a":1}` {
		t.Errorf("Get: %q %v", got, ok)
	}
	if n := len(b.Under("orders/")); n != 2 {
		t.Errorf("Under: %d members, want 2", n)
	}
	if _, ok := b.Get("orders/c.json"); ok {
		t.Error("Get finds a member that is not there")
	}
}

// Every single byte counts: index, headers, contents, padding, trailer.
func TestAnyFlippedByteIsRefused(t *testing.T) {
	whole, err := Pack(sample())
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(whole)
			bad[i] ^= bit
			if _, err := Unpack(bad); fault.CodeOf(err) != CodeContainer {
				t.Fatalf("byte %d flipped by %#x: %v, want code %s", i, bit, err, CodeContainer)
			}
		}
	}
	for _, bad := range [][]byte{nil, whole[:len(whole)-1], whole[:len(whole)-1024], append(bytes.Clone(whole), 0)} {
		if _, err := Unpack(bad); fault.CodeOf(err) != CodeContainer {
			t.Errorf("length %d instead of %d: %v", len(bad), len(whole), err)
		}
	}
}

func TestAChangedMemberIsNamed(t *testing.T) {
	whole, err := Pack(sample())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(whole, []byte(`{"b":1}`))
	whole[at+5] = '2'
	_, err = Unpack(whole)
	if err == nil || !strings.Contains(err.Error(), `"orders/b.json"`) {
		t.Errorf("error %v does not name the member", err)
	}
}

func TestPackRefusesNames(t *testing.T) {
	for _, name := range []string{"", "/etc", "../x", "a/../b", "a//b", "Upper", "a b", IndexName, ".hidden", strings.Repeat("a", 101)} {
		if _, err := Pack([]Member{{name, nil}}); err == nil {
			t.Errorf("name %q is accepted", name)
		}
	}
	if _, err := Pack([]Member{{"a", nil}, {"a", nil}}); err == nil {
		t.Error("two members of one name are accepted")
	}
}

func FuzzUnpack(f *testing.F) {
	whole, err := Pack(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Unpack(b)
		if err != nil {
			return
		}
		again, err := Pack(got.Members())
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("what was unpacked does not pack to the same bytes: %v", err)
		}
	})
}
