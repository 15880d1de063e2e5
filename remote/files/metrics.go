package files

import "github.com/prometheus/client_golang/prometheus"

// NewMetrics registers the metrics of SFTP, all series at zero.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{operations: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "okteto_remote_sftp_operations_total", Help: "SFTP requests, by operation.",
	}, []string{"operation"})}
	reg.MustRegister(m.operations)
	m.other = m.operations.WithLabelValues("other")
	for i := range m.byType {
		m.byType[i] = m.other
	}
	for typ, name := range map[byte]string{
		typeInit: "init", typeOpen: "open", typeClose: "close", typeRead: "read", typeWrite: "write",
		typeLstat: "lstat", typeFstat: "fstat", typeSetstat: "setstat", typeFsetstat: "fsetstat", typeOpendir: "opendir",
		typeReaddir: "readdir", typeRemove: "remove", typeMkdir: "mkdir", typeRmdir: "rmdir", typeRealpath: "realpath",
		typeStat: "stat", typeRename: "rename", typeReadlink: "readlink", typeSymlink: "symlink", typeExtended: "extended",
	} {
		m.byType[typ] = m.operations.WithLabelValues(name)
	}
	return m
}

// Metrics of SFTP.
type Metrics struct {
	operations *prometheus.CounterVec
	other      prometheus.Counter
	byType     [256]prometheus.Counter
}

func (m *Metrics) count(typ byte) { m.byType[typ].Inc() }

// knows reports whether there is a request of this type.
func (m *Metrics) knows(typ byte) bool { return m.byType[typ] != m.other }
