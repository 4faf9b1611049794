package filetree

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// names are the accounts of a tree: IDs to names, by its own files, so that hosts with other numbers can be compared.
type names struct {
	users, groups map[uint32]string
	digest        [sha256.Size]byte
}

const maxAccounts = 8 << 20

func readNames(root string) *names {
	users, groups := readAccounts(root, "etc/passwd"), readAccounts(root, "etc/group")
	sum := sha256.New()
	sum.Write(strconv.AppendInt(nil, int64(len(users)), 10))
	sum.Write(users)
	sum.Write(groups)
	n := &names{users: parseAccounts(users), groups: parseAccounts(groups)}
	sum.Sum(n.digest[:0])
	return n
}

// readAccounts reads a file below root without leaving it; a file that is not there or too large gives no names.
func readAccounts(root, name string) []byte {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil
	}
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts+1))
	if err != nil || len(b) > maxAccounts {
		return nil
	}
	return b
}

// parseAccounts reads passwd(5) or group(5): the third field is the number. The first line of a number counts, as in
// getpwuid(3).
func parseAccounts(b []byte) map[uint32]string {
	out := map[uint32]string{}
	for line := range bytes.Lines(b) {
		f := strings.SplitN(string(line), ":", 4)
		if len(f) < 3 || f[0] == "" || len(f[0]) > maxText {
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSpace(f[2]), 10, 32)
		if _, taken := out[uint32(id)]; err == nil && !taken {
			out[uint32(id)] = f[0]
		}
	}
	return out
}
