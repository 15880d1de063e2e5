package engine

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/syncthing/syncthing/lib/db"
	"github.com/syncthing/syncthing/lib/model"
	"github.com/syncthing/syncthing/lib/protocol"
)

// generationKey is where a database keeps the name under which it counts.
const generationKey = "okteto-generation"

// errNoShortID is that the library keeps the name elsewhere.
var errNoShortID = errors.New("the library's model has no shortID")

// A version of a file says how often which device has changed it, and the library
// counts from the time in seconds. A database that starts anew knows nothing of what
// the peers have of the device before: a file that is made in that second, or whose
// count had run ahead of the time by many changes, had a version that they know, of
// another content, and was never sent. So each database counts under a name of its
// own, and what is made without knowledge of what was before is a conflict with that.
// One that an older version of ours or of Syncthing has made goes on as it began.

// newGeneration gives the database another name.
func newGeneration(ll *db.Lowlevel) error {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails (crypto/rand)
	if err := db.NewMiscDataNamespace(ll).PutBytes(generationKey, name[:]); err != nil {
		return fmt.Errorf("name a new sync database: %w", err)
	}
	return nil
}

// useGeneration has the model count under the database's name.
func useGeneration(ll *db.Lowlevel, m model.Model) error {
	name, ok, err := db.NewMiscDataNamespace(ll).Bytes(generationKey)
	if err != nil {
		return fmt.Errorf("read the sync database's name: %w", err)
	}
	if !ok || len(name) != 8 {
		return nil
	}
	id, err := shortIDOf(m)
	if err != nil {
		return err
	}
	*id = protocol.ShortID(binary.BigEndian.Uint64(name))
	return nil
}

// shortIDOf is where the model keeps the name under which it counts. It has no option
// for it, and hands it to folders when they start.
func shortIDOf(m model.Model) (*protocol.ShortID, error) {
	v := reflect.ValueOf(m)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, errNoShortID
	}
	field := v.Elem().FieldByName("shortID")
	if !field.IsValid() || field.Type() != reflect.TypeFor[protocol.ShortID]() {
		return nil, errNoShortID
	}
	return (*protocol.ShortID)(unsafe.Pointer(field.UnsafeAddr())), nil
}
