package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What we rely on in Syncthing's source. An upgrade that changes one of these
// must be looked at: the fact named beside it may no longer hold.
var libraryFacts = []struct{ file, pattern, why string }{
	{"lib/model/indexhandler.go", `case <-time\.After\(250 \* time\.Millisecond\):`, "the index sender sleeps, which the pump makes up for"},
	{"lib/model/indexhandler.go", `if exp := fset\.Sequence\(deviceID\); prevSequence > 0 && prevSequence != exp`, "a receiver checks that sequences have no gap, which the pump keeps"},
	{"lib/model/indexhandler.go", `s\.localPrevSequence = snap\.Sequence\(protocol\.LocalDeviceID\)`, "the sender goes on from its own snapshot, so that what the pump has sent may be dropped"},
	{"lib/model/model.go", `m\.promotionTimer\.Reset\(time\.Second\)`, "a new connection is used after a second, unless the promoter is quicker"},
	{"lib/model/folder_sendrecv.go", `maxPullerIterations = 3`, "a transfer looks for newer needs before it ends"},
	{"lib/model/folder_sendrecv.go", `defaultPullerPause      = 60 \* time\.Second`, "retries are too slow unless pullerPauseS is set"},
	{"lib/model/folder.go", `<-f\.initialScanFinished\n\treturn f\.doInSync\(func\(\) error \{ return f\.scanSubdirs\(subdirs\) \}\)`, "a scan of paths waits for the first scan, and runs between transfers"},
	{"lib/fs/tempname.go", `UnixTempPrefix    = "\.syncthing\."`, "our temporary names are never synchronized"},
	{"lib/fs/filesystem.go", `internals := \[\]string\{"\.stfolder", "\.stignore", "\.stversions"\}`, ".stignore is never synchronized, and so may be the marker"},
	{"lib/model/sharedpullerstate.go", `mode = 0o666`, "a received file without a mode is made so, and gets that of the one before"},
	{"lib/model/folder_sendrecv.go", `func \(f \*sendReceiveFolder\) performFinish\([^)]*\) error \{`, "what is archived from there is about to be replaced (finishFunction)"},
	{"lib/osutil/osutil.go", `func IsDeleted\(ffs fs\.Filesystem, name string\) bool \{\n\tif _, err := ffs\.Lstat\(name\)`, "what is gone is found out by Lstat, where the gate is"},
	{"lib/model/folder.go", `f\.setState\(FolderScanning\)\n\tf\.clearScanErrors`, "a folder says that it scans before it does"},
	{"lib/model/folderstate.go", `s\.evLogger\.Log\(events\.StateChanged, eventData\)`, "and says so to the logger that the model was given"},
	{"lib/db/backend/leveldb_open.go", `WriteBuffer: +debugEnvValue\("WriteBuffer", defaultWriteBuffer\)`, "the database's memory can be set"},
	{"lib/db/keyer.go", `KeyTypeBlockListMap <int32 folder ID> <block list hash> <file name> = <nothing>`, "files of the same content are told by the length of the prefix they are looked up with"},
	{"lib/versioner/util.go", `TimeFormat`, "the trash's names"},
	{"lib/protocol/protocol.go", `PingSendInterval = 90 \* time\.Second`, "a dead line is noticed late unless the tunnel says so"},
	{"lib/api/api.go", `bufsub, ok := s\.eventSubs\[mask\]`, "events of a type are buffered from the first request for it"},
	{"lib/protocol/vector.go", `// Value is missing on the b side
	+if av\.Value > 0 \{`, "a version of zero changes is older than any, see oldest"},
	{"lib/config/folderconfiguration.go", `maxConcurrentWritesLimit   = 64`, "the number of concurrent writes is taken as it is"},
}

func TestLibraryIsWhatWeRelyOn(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", "github.com/syncthing/syncthing").Output()
	if err != nil {
		t.Skipf("needs the go command and the module's source: %v", err)
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	for _, fact := range libraryFacts {
		source, err := os.ReadFile(filepath.Join(dir, fact.file))
		if err != nil {
			t.Errorf("%s of %s: %v", fact.file, version, err)
			continue
		}
		if !regexp.MustCompile(fact.pattern).Match(source) {
			t.Errorf("%s of %s has changed: no %s; %s", fact.file, version, fact.pattern, fact.why)
		}
	}
}
