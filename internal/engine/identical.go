package engine

import (
	"crypto/sha256"

	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/db/backend"
)

const (
	// identicalMost is how many files of the same content a scan looks at to find out
	// whether one that is new is another one renamed. The library reads them all from
	// the database for each new file: half a minute for a thousand beside two
	// thousand. A renaming that is not found is an addition and a removal, and the
	// content is copied on the other side.
	identicalMost = 32
	// identicalPrefix is the length of the keys' common part: a byte for the kind,
	// the folder, the hash of the content's blocks (db/keyer.go).
	identicalPrefix = 1 + 4 + sha256.Size
)

// NewReadTransaction implements backend.Backend.
func (r *room) NewReadTransaction() (backend.ReadTransaction, error) {
	inner, err := r.Backend.NewReadTransaction()
	if err != nil {
		return nil, err
	}
	return fewIdentical{inner}, nil
}

// fewIdentical is a transaction that shows identicalMost files of the same content.
type fewIdentical struct{ backend.ReadTransaction }

// NewPrefixIterator implements backend.Reader.
func (t fewIdentical) NewPrefixIterator(prefix []byte) (backend.Iterator, error) {
	inner, err := t.ReadTransaction.NewPrefixIterator(prefix)
	if err != nil || len(prefix) != identicalPrefix || prefix[0] != db.KeyTypeBlockListMap {
		return inner, err
	}
	return &firstFew{Iterator: inner}, nil
}

type firstFew struct {
	backend.Iterator
	seen int
}

// Next implements backend.Iterator.
func (i *firstFew) Next() bool {
	i.seen++
	return i.seen <= identicalMost && i.Iterator.Next()
}
