package diag

// LabelMissing is found when looking at the page that would be published
// (package render).
const LabelMissing Code = "label_missing"

var renderCodes = []Info{
	{LabelMissing, Warning, "published page would say something in another language", "give the label in the document block: labels = { ... }"},
}
