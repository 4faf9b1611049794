package rpm

import (
	"fmt"
	"strconv"

	"github.com/BurntSushi/toml"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxHistory bounds what dnf wrote down, in bytes: some tens of thousands of transactions.
const MaxHistory = 128 << 20

// ID is how dnf calls a package: name-version.arch, the epoch in the version left out where it is 0.
func ID(name, version, arch string) string { return name + "-" + version + "." + arch }

// Acts of dnf 4 on a package: those that bring it and those that take it away. Source: libdnf, transaction/Types.hpp.
var (
	brings = map[int64]bool{1: true, 2: true, 4: true, 6: true, 9: true} // install, downgrade, obsolete, upgrade, reinstall
	takes  = map[int64]bool{3: true, 5: true, 7: true, 8: true}          // downgraded, obsoleted, upgraded, removed
)

const actDone = 1

// History reads where packages came from out of dnf 4's history.sqlite: for each ID that wanted asks for, the repository of the
// act that brought it last. What was taken away since has none: if it is there, something else brought it.
func History(file, log File, wanted func(id string) bool) (map[string]string, error) {
	if file.Size+log.Size > MaxHistory {
		return nil, fault.New(fault.Invalid, "dnf's history is over %d bytes", MaxHistory)
	}
	t, err := openTables(file, log)
	if err != nil {
		return nil, err
	}
	repositories, packages := map[int64]string{}, map[int64]string{}
	err = t.rows("repo", func(get func(string) value) { repositories[get("id").number] = get("repoid").text })
	if err == nil {
		err = t.rows("rpm", func(get func(string) value) {
			version := get("version").text + "-" + get("release").text
			if epoch := get("epoch").number; epoch != 0 {
				version = strconv.FormatInt(epoch, 10) + ":" + version
			}
			if id := ID(get("name").text, version, get("arch").text); wanted(id) {
				packages[get("item_id").number] = id
			}
		})
	}
	type act struct {
		number     int64
		repository string
	}
	last := map[string]act{}
	if err == nil {
		err = t.rows("trans_item", func(get func(string) value) {
			id, number, what := packages[get("item_id").number], get("id").number, get("action").number
			if id == "" || get("state").number != actDone || !brings[what] && !takes[what] || number < last[id].number {
				return
			}
			a := act{number: number}
			if brings[what] {
				a.repository = repositories[get("repo_id").number]
			}
			last[id] = a
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read dnf's history: %w", err)
	}
	from := map[string]string{}
	for id, a := range last {
		if a.repository != "" {
			from[id] = a.repository
		}
	}
	return from, nil
}

// SystemState reads where packages came from out of dnf 5's nevras.toml, by ID.
func SystemState(b []byte) (map[string]string, error) {
	var state struct {
		Nevras map[string]struct {
			From string `toml:"from_repo"`
		} `toml:"nevras"`
	}
	if _, err := toml.Decode(string(b), &state); err != nil {
		return nil, fault.New(fault.Invalid, "dnf's state is not the TOML expected here")
	}
	from := make(map[string]string, len(state.Nevras))
	for id, n := range state.Nevras {
		if n.From != "" {
			from[id] = n.From
		}
	}
	return from, nil
}
