package v1

// VEX is a document that other scanners read, and what could not be written.
type VEX struct {
	Document   []byte   `json:"document"`
	Statements int      `json:"statements"` // decisions written
	LeftOut    []string `json:"left_out"`   // decisions about single environments or hosts, or about what has no CVE: no such document can say them
}
