package verdict

import "github.com/patchwarrant/patchwarrant/internal/intake"

// Asked names a vulnerability that someone asks about on a host. An empty Source stands for whichever source package of the
// host the vulnerability is stated about.
type Asked struct{ ID, Source string }

// Answer is what is known of it there.
type Answer struct {
	Asked                      // Source is filled in where it was empty and one is known
	Version   string           // of the source package installed; empty: the host does not have it
	Stated    bool             // a source of ours speaks about it in the host's release
	Verdict   Verdict          // where it is stated and installed
	Statement intake.Statement // the leading one, where it is stated
}

// Answers tells of vulnerabilities on one host, in the order asked. known is false for a host that is not in the fleet.
func (f *Fleet) Answers(host string, asked []Asked) (answers []Answer, known bool) {
	k := f.hosts[host]
	if k == nil {
		return nil, false
	}
	installed := make(map[string]int, len(k.pairs))
	for _, id := range k.pairs {
		installed[f.pairs[id].source] = id
	}
	answers = make([]Answer, 0, len(asked))
	for _, a := range asked {
		if a.Source == "" {
			answers = append(answers, f.answerAny(k, a.ID))
			continue
		}
		answer := Answer{Asked: a}
		if id, has := installed[a.Source]; has {
			answer.Version = f.pairs[id].version
			f.answer(&answer, id)
		} else if b := f.books[bookKey{k.Release, a.Source}]; b != nil {
			if of, _ := b.of(a.ID); len(of) > 0 {
				answer.Stated, answer.Statement = true, of[0]
			}
		}
		answers = append(answers, answer)
	}
	return answers, true
}

// answer judges a holding that is installed.
func (f *Fleet) answer(a *Answer, id int) {
	p := &f.pairs[id]
	if l, found := p.chapter.find(p.book, a.ID); found {
		a.Stated = true
		a.Verdict, a.Statement = f.verdict(p, l)
	}
}

// gravity orders verdicts: of several source packages that a vulnerability is stated about, the worst answers.
var gravity = map[Status]int{NotAffected: 1, Undetermined: 2, FixedAfterReboot: 3, Affected: 4}

func (f *Fleet) answerAny(k *class, id string) Answer {
	best := Answer{Asked: Asked{ID: id}}
	for _, pair := range k.pairs {
		p := &f.pairs[pair]
		a := Answer{Asked: Asked{id, p.source}, Version: p.version}
		if f.answer(&a, pair); a.Stated && gravity[a.Verdict.Status] > gravity[best.Verdict.Status] {
			best = a
		}
	}
	if best.Stated {
		return best
	}
	for key, b := range f.books {
		if key.release != k.Release {
			continue
		}
		if of, _ := b.of(id); len(of) > 0 && (!best.Stated || key.source < best.Source) {
			best = Answer{Asked: Asked{id, key.source}, Stated: true, Statement: of[0]}
		}
	}
	return best
}
