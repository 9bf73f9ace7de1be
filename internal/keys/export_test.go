package keys

// ForgeShare changes the value of a share and makes its checksum right, as
// somebody could who knows the form.
func ForgeShare(text string) (string, error) {
	s, err := ParseShares(text)
	if err != nil {
		return "", err
	}
	s[0].value[0] ^= 1
	return s[0].Text(), nil
}
