package vault

import (
	"encoding/binary"

	abide "github.com/abide-privacy/abide"
)

// Domain tags of associated data. A tag is never used for two kinds of row.
const (
	adItem        = "abide/item/1"
	adState       = "abide/state/1"
	adLaw         = "abide/law/1"
	adConsent     = "abide/consent/1"
	adAnswer      = "abide/answer/1"
	adEntryPart   = "abide/entry-part/1"
	adLookPart    = "abide/look-part/1"
	adEnvelope    = "abide/entry-envelope/1"
	adCertificate = "abide/certificate/1"
	adBlob        = "abide/blob/1"
	adLink        = "abide/link/1"
	adPage        = "abide/page/1"
	adRestore     = "abide/restore/1"
)

// ad builds associated data: tag, store and subject have fixed lengths or end
// in a zero byte, every later part is preceded by its length, so no two
// different rows share it.
type ad []byte

func (v *Vault) ad(tag string, subject abide.SubjectID) ad {
	b := make(ad, 0, 128)
	b = append(b, tag...)
	b = append(b, 0)
	b = append(b, v.store[:]...)
	return append(b, subject[:]...)
}

func (b ad) text(s string) ad {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func (b ad) bytes(p []byte) ad {
	b = binary.AppendUvarint(b, uint64(len(p)))
	return append(b, p...)
}

func (b ad) number(n uint64) ad { return binary.BigEndian.AppendUint64(b, n) }
