package inventory

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Owners gives the package of each path that dpkg's lists under root name; the others are left out. Since the directories
// /bin, /lib and /sbin were merged into /usr, a list may name a file by either path.
func Owners(root string, paths []string) map[string]string {
	if len(paths) == 0 {
		return nil
	}
	want := make(map[string]string, 2*len(paths)) // as a list may write it → as asked for
	for _, p := range paths {
		want[p] = p
		if bare, merged := strings.CutPrefix(p, "/usr"); merged {
			want[bare] = p
		} else {
			want["/usr"+p] = p
		}
	}
	owners := map[string]string{}
	entries, err := readDir(root, infoDir)
	if err != nil {
		return owners
	}
	for _, e := range entries {
		stem, list := strings.CutSuffix(e.Name(), ".list")
		if !list || !e.Type().IsRegular() {
			continue
		}
		f, err := open(root, path.Join(infoDir, e.Name()))
		if err != nil {
			continue
		}
		owner, _, _ := strings.Cut(stem, ":")
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if asked, ok := want[lines.Text()]; ok {
				owners[asked] = text(owner)
			}
		}
		f.Close()
	}
	return owners
}

// Files gives the regular files that the packages, by name, have under a root now.
func Files(at string, packages []string) (map[filetree.Inode]struct{}, error) {
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	files := map[filetree.Inode]struct{}{}
	for _, name := range packages {
		lists, _ := fs.Glob(root.FS(), infoDir+"/"+name+".list") // names of packages hold no wildcards
		more, _ := fs.Glob(root.FS(), infoDir+"/"+name+":*.list")
		for _, list := range append(lists, more...) {
			b, err := root.ReadFile(list)
			if err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(b)) {
				info, err := root.Stat(strings.TrimLeft(strings.TrimSuffix(line, "\n"), "/"))
				if err != nil || !info.Mode().IsRegular() {
					continue
				}
				if st, ok := info.Sys().(*syscall.Stat_t); ok {
					files[filetree.Inode{Dev: st.Dev, Ino: st.Ino}] = struct{}{}
				}
			}
		}
	}
	return files, nil
}
