package db

import "path"

// Declared gives the migrations of an engine by file name.
func Declared(engine string) map[string]string {
	files := map[string]string{}
	entries, _ := migrations.ReadDir(path.Join("migrations", engine))
	for _, e := range entries {
		text, _ := migrations.ReadFile(path.Join("migrations", engine, e.Name()))
		files[e.Name()] = string(text)
	}
	return files
}
