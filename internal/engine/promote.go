package engine

import (
	"log/slog"
	"reflect"
	"time"
	"unsafe"

	"github.com/syncthing/syncthing/lib/model"
)

// promoter makes the model use a new connection at once. The model gathers the
// parallel connections of a device for a second before it promotes one of them
// (model.scheduleConnectionPromotion), which delays the first synchronization
// and every reconnection by that second. We have one connection a device, so
// there is nothing to gather; but no option says so, and the timer is private.
//
// A version of the library without that timer only costs the second again.
type promoter struct{ timer *time.Timer }

func newPromoter(m model.Model, log *slog.Logger) promoter {
	v := reflect.ValueOf(m)
	if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		field := v.Elem().FieldByName("promotionTimer")
		if field.IsValid() && field.Type() == reflect.TypeFor[*time.Timer]() {
			return promoter{*(**time.Timer)(unsafe.Pointer(field.UnsafeAddr()))}
		}
	}
	log.Debug("connections are used after the library's own delay")
	return promoter{}
}

// now is called after the model was given a connection. The timer's channel
// is read by one loop only, and may fire early or twice without harm.
func (p promoter) now() {
	if p.timer != nil {
		p.timer.Reset(0)
	}
}
