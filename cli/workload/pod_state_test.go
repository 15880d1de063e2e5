package workload

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"okteto/internal/contract"
)

func status(name string, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, Image: "image:1", State: state}
}

func waitingFor(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// TestStateOf gives pods as the kubelet reports them, and what a user is told.
func TestStateOf(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
	}
	always := corev1.ContainerRestartPolicyAlways
	for name, tt := range map[string]struct {
		node   string
		init   []corev1.ContainerStatus
		main   []corev1.ContainerStatus
		conds  []corev1.PodCondition
		events []corev1.Event
		phase  Phase
		reason string
		text   string
		warn   bool
		fatal  bool
	}{
		"fresh":         {phase: PhaseStarting, text: "waiting for a node"},
		"unschedulable": {conds: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes"}}, phase: PhaseStarting, reason: "Unschedulable", text: "no node takes the pod: 0/2 nodes", warn: true},
		"scheduled":     {node: "n", phase: PhaseAttaching, text: "preparing volumes on node n"},
		"volume": {
			node: "n", events: []corev1.Event{{Reason: "FailedAttachVolume", Message: "Multi-Attach error"}}, phase: PhaseAttaching, reason: "FailedAttachVolume",
			text: "a volume is not ready: Multi-Attach error", warn: true,
		},
		"pulling":     {node: "n", init: []corev1.ContainerStatus{status("okteto-bin", waitingFor("PodInitializing", ""))}, events: []corev1.Event{{Reason: "Pulling", Message: `Pulling image "a"`}}, phase: PhasePulling, text: `pulling image "a"`},
		"init runs":   {node: "n", init: []corev1.ContainerStatus{status("okteto-bin", running)}, phase: PhasePulling, text: "init container okteto-bin is running"},
		"sidecar ran": {node: "n", init: []corev1.ContainerStatus{{Name: "sidecar", Started: ptr(true), State: running}}, main: []corev1.ContainerStatus{status("api", waitingFor("ContainerCreating", ""))}, events: []corev1.Event{{Reason: "Started"}}, phase: PhasePulling, text: "starting containers"},
		"image": {
			node: "n", main: []corev1.ContainerStatus{status("api", waitingFor("ImagePullBackOff", "Back-off"))}, events: []corev1.Event{{Reason: "Failed", Message: "Error: ImagePullBackOff"}, {Reason: "Failed", Message: "Failed to pull image: not found"}},
			phase: PhasePulling, reason: "ImagePullBackOff", text: "image image:1 cannot be pulled: Failed to pull image: not found", warn: true, fatal: true,
		},
		"our container crashes":     {node: "n", main: []corev1.ContainerStatus{{Name: "api", State: waitingFor("CrashLoopBackOff", ""), LastTerminationState: ended(3, "Error")}}, phase: PhaseStarting, reason: "CrashLoopBackOff", text: "container api ended with exit code 3", warn: true, fatal: true},
		"out of memory":             {node: "n", main: []corev1.ContainerStatus{{Name: "api", State: waitingFor("CrashLoopBackOff", ""), LastTerminationState: ended(137, "OOMKilled")}}, phase: PhaseStarting, reason: "CrashLoopBackOff", text: "container api was killed for using more memory than its limit", warn: true, fatal: true},
		"application's init waits":  {node: "n", init: []corev1.ContainerStatus{{Name: "wait-for-db", State: waitingFor("CrashLoopBackOff", ""), LastTerminationState: ended(1, "Error")}}, phase: PhaseStarting, reason: "CrashLoopBackOff", text: "container wait-for-db ended with exit code 1", warn: true},
		"a sidecar that crashes":    {node: "n", main: []corev1.ContainerStatus{{Name: "proxy", State: ended(1, "Error")}, status("api", waitingFor("ContainerCreating", ""))}, phase: PhaseStarting, reason: "ContainerFailed", text: "container proxy ended with exit code 1", warn: true},
		"missing ConfigMap":         {node: "n", main: []corev1.ContainerStatus{status("api", waitingFor("CreateContainerConfigError", `configmap "x" not found`))}, phase: PhaseStarting, reason: "CreateContainerConfigError", text: `container api cannot be started: configmap "x" not found`, warn: true},
		"something new":             {node: "n", main: []corev1.ContainerStatus{status("api", waitingFor("NewReason", "of a later Kubernetes"))}, phase: PhaseAttaching, reason: "NewReason", text: "container api: NewReason: of a later Kubernetes", warn: true},
		"the event is no container": {node: "n", events: []corev1.Event{{Reason: "Scheduled"}, {Reason: "NetworkNotReady", Message: "no CNI"}}, phase: PhaseAttaching, reason: "NetworkNotReady", text: "no CNI", warn: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeName: tt.node}}
			for _, s := range tt.init {
				c := corev1.Container{Name: s.Name}
				if s.Name == "sidecar" {
					c.RestartPolicy = &always
				}
				pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
			}
			pod.Status = corev1.PodStatus{InitContainerStatuses: tt.init, ContainerStatuses: tt.main, Conditions: tt.conds}
			got := stateOf(pod, "api", tt.events)
			if got.Phase != tt.phase || got.Reason != tt.reason || !strings.HasPrefix(got.Message, tt.text) || got.Warning != tt.warn || got.fatal != tt.fatal {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCurrentPod(t *testing.T) {
	now := metav1.Now()
	pod := func(name, revision string, age time.Duration, change func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age)), Annotations: map[string]string{contract.PodRevisionAnnotation: revision},
		}}
		if change != nil {
			change(&p)
		}
		return p
	}
	pods := []corev1.Pod{
		pod("older", "new", time.Hour, nil),
		pod("newest", "new", time.Minute, nil),
		pod("of the last template", "old", time.Second, nil),
		pod("going", "new", time.Second, func(p *corev1.Pod) { p.DeletionTimestamp = &now }),
		pod("evicted", "new", time.Second, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
	}
	if got := currentPod(pods, "new"); got == nil || got.Name != "newest" {
		t.Errorf("got %v", got)
	}
	if got := currentPod(pods[2:], "new"); got != nil {
		t.Errorf("got %v", got)
	}
}
