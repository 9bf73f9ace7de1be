package render

import (
	"strings"

	"golang.org/x/text/language"

	abide "github.com/abide-privacy/abide"
	"github.com/abide-privacy/abide/policy/rule"
)

// Choose returns the language of the translation of a document that fits an
// Accept-Language header (RFC 9110, section 12.5.4) best, or that of the
// document itself.
func Choose(set *rule.Set, document abide.DocumentName, acceptLanguage string) string {
	doc := pick(set, document, "")
	if doc == nil {
		return ""
	}
	tags := []language.Tag{language.Make(doc.Language)}
	own := []string{doc.Language}
	for _, d := range set.Documents {
		if d.TranslationOf == doc.Name {
			tags = append(tags, language.Make(d.Language))
			own = append(own, d.Language)
		}
	}
	_, at := language.MatchStrings(language.NewMatcher(tags), acceptLanguage)
	return own[at]
}

// pick finds a document, or its translation into a language if there is one.
func pick(set *rule.Set, name abide.DocumentName, lang string) *rule.Document {
	var doc *rule.Document
	for _, d := range set.Documents {
		if d.Name == name || name == "" && d.TranslationOf == "" {
			doc = d
			break
		}
	}
	if doc == nil || lang == "" {
		return doc
	}
	for _, d := range set.Documents {
		if d.TranslationOf == doc.Name && language.Make(d.Language) == language.Make(lang) {
			return d
		}
	}
	return doc
}

// languageNames are languages by their own names, for people who look for
// theirs in a page they cannot read.
var languageNames = map[string]string{
	"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "it": "Italiano", "pt": "Português",
	"nl": "Nederlands", "pl": "Polski", "sv": "Svenska", "da": "Dansk", "fi": "Suomi", "nb": "Norsk", "cs": "Čeština",
	"ja": "日本語", "ko": "한국어", "zh": "中文", "zh-hk": "繁體中文", "zh-tw": "繁體中文", "zh-hant": "繁體中文", "zh-hans": "简体中文",
	"zh-cn": "简体中文", "ru": "Русский", "uk": "Українська", "tr": "Türkçe", "ar": "العربية", "he": "עברית", "hi": "हिन्दी",
	"th": "ไทย", "vi": "Tiếng Việt", "id": "Bahasa Indonesia", "ms": "Bahasa Melayu", "el": "Ελληνικά", "hu": "Magyar", "ro": "Română",
}

func languageName(tag string) string {
	if n, ok := languageNames[strings.ToLower(tag)]; ok {
		return n
	}
	if n, ok := languageNames[base(tag)]; ok {
		return n
	}
	return tag
}
