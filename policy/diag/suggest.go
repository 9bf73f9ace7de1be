package diag

import "strings"

// Suggest returns the candidate a writer most likely meant by name, and false
// if none is near: at most a third of the letters may differ. Ties go to the
// candidate that comes first.
func Suggest(name string, candidates []string) (string, bool) {
	best, bestDist := "", -1
	lower := strings.ToLower(name)
	for _, c := range candidates {
		if c == name || c == "" {
			continue
		}
		d := editDistance(lower, strings.ToLower(c))
		if limit := max(1, (len([]rune(c))+1)/3); d > limit {
			continue
		}
		if bestDist < 0 || d < bestDist {
			best, bestDist = c, d
		}
	}
	return best, bestDist >= 0
}

// DidYouMean returns a hint that names the nearest candidate, or lists them
// all if they are few, or nothing.
func DidYouMean(name string, candidates []string) string {
	if c, ok := Suggest(name, candidates); ok {
		return "did you mean " + c + "?"
	}
	if n := len(candidates); n > 0 && n <= 24 {
		return "known here: " + strings.Join(candidates, ", ")
	}
	return ""
}

// editDistance is the optimal string alignment distance: insertions,
// deletions, substitutions and swaps of neighbours each cost one.
func editDistance(a, b string) int {
	ra, rb := []rune(a), []rune(b)
	prev2 := make([]int, len(rb)+1)
	prev := make([]int, len(rb)+1)
	cur := make([]int, len(rb)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(ra); i++ {
		cur[0] = i
		for j := 1; j <= len(rb); j++ {
			cost := 1
			if ra[i-1] == rb[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && ra[i-1] == rb[j-2] && ra[i-2] == rb[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(rb)]
}
