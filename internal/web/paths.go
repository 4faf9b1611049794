package web

// Paths gives the paths of all that can be read, in the patterns of net/http: benchmarks and checks go through them.
func Paths() (all []string) {
	for _, r := range routes {
		if r.method == "GET" {
			all = append(all, r.path)
		}
	}
	return all
}
