package workload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"okteto/internal/contract"
)

// podState is what a starting pod waits for, and whether it is in vain.
type podState struct {
	PodProgress
	// fatal: it will not run as it is. patience, if not 0, is how long the
	// state may last.
	fatal    bool
	patience time.Duration
	hint     string
	// logsOf is the container whose log says more, if any.
	logsOf       string
	logsPrevious bool
}

// currentPod is the newest pod of the twin's present template that is not on
// its way out.
func currentPod(pods []corev1.Pod, revision string) *corev1.Pod {
	var newest *corev1.Pod
	for i := range pods {
		pod := &pods[i]
		gone := pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if gone || pod.Annotations[contract.PodRevisionAnnotation] != revision {
			continue
		}
		if newest == nil || pod.CreationTimestamp.After(newest.CreationTimestamp.Time) {
			newest = pod
		}
	}
	return newest
}

// runningPod is the pod if its development container runs.
func runningPod(pod *corev1.Pod, container string) *Pod {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container && s.State.Running != nil && pod.Status.Phase == corev1.PodRunning {
			return &Pod{
				Name: pod.Name, UID: pod.UID, Node: pod.Spec.NodeName,
				Container: container, ContainerID: s.ContainerID, Restarts: s.RestartCount,
			}
		}
	}
	return nil
}

// stateOf reads a pod and its events, newest first.
func stateOf(pod *corev1.Pod, container string, events []corev1.Event) podState {
	s := podState{PodProgress: PodProgress{Phase: PhaseStarting, Pod: pod.Name, Message: "waiting for a node"}}
	if pod.Spec.NodeName == "" {
		return unscheduled(s, pod)
	}
	s.Phase, s.Message = PhaseAttaching, "preparing volumes on node "+pod.Spec.NodeName
	event := newestEvent(events)
	if len(pod.Status.ContainerStatuses) == 0 && len(pod.Status.InitContainerStatuses) == 0 {
		return fromEvent(s, event)
	}
	all := append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...)
	for _, status := range all {
		own := status.Name == container || status.Name == contract.InitContainer || status.Name == contract.InitVolumeContainer
		switch {
		case status.State.Running != nil && isInit(pod, status.Name) && (status.Started == nil || !*status.Started || !isSidecar(pod, status.Name)):
			s.Phase, s.Message = PhasePulling, "init container "+status.Name+" is running"
			return s
		case status.State.Waiting != nil && status.State.Waiting.Reason != "" && status.State.Waiting.Reason != "PodInitializing":
			return waiting(s, status, own, events)
		case status.State.Terminated != nil && status.State.Terminated.ExitCode != 0:
			return crashed(s, status, own, false)
		}
	}
	return fromEvent(s, event)
}

func unscheduled(s podState, pod *corev1.Pod) podState {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			s.Reason, s.Message, s.Warning = c.Reason, "no node takes the pod: "+c.Message, true
			s.hint = "free or add the resources it names, or ask for less in the manifest"
		}
	}
	return s
}

func waiting(s podState, status corev1.ContainerStatus, own bool, events []corev1.Event) podState {
	w := status.State.Waiting
	s.Reason = w.Reason
	switch w.Reason {
	case "ContainerCreating":
		s.Reason = ""
		return fromEvent(s, newestEvent(events))
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable", "ErrImageInspect":
		s.Phase, s.Warning, s.fatal = PhasePulling, true, true
		s.Message = fmt.Sprintf("image %s cannot be pulled: %s", status.Image, pullReason(w.Message, events))
		s.hint = imageHint(w.Reason)
		return s
	case "CrashLoopBackOff":
		return crashed(s, status, own, true)
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError":
		s.Phase, s.Warning, s.patience = PhaseStarting, true, patience
		s.Message = fmt.Sprintf("container %s cannot be started: %s", status.Name, w.Message)
		return s
	}
	s.Warning = true
	s.Message = strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", status.Name, w.Reason, w.Message), ": ")
	return s
}

// pullReason is the longest that was said about it: the container's own words are
// often only "Back-off pulling image", and so are some events'.
func pullReason(message string, events []corev1.Event) string {
	for _, e := range events {
		if e.Reason == "Failed" && len(e.Message) > len(message) {
			message = e.Message
		}
	}
	return message
}

func imageHint(reason string) string {
	switch reason {
	case "ErrImageNeverPull":
		return "it is not on the node, and imagePullPolicy is Never"
	case "InvalidImageName":
		return "correct the image in the manifest"
	}
	return "check the image's name and tag, and that the namespace has a pull secret for its registry; for an image that is only on the nodes set imagePullPolicy: IfNotPresent"
}

// crashed is the state of a container that ends by itself. Those of the
// application may wait for something that comes later; ours may not.
func crashed(s podState, status corev1.ContainerStatus, own, previous bool) podState {
	end := status.State.Terminated
	if end == nil {
		end = status.LastTerminationState.Terminated
	}
	what := "ended"
	if end != nil {
		what = fmt.Sprintf("ended with exit code %d", end.ExitCode)
		if end.Reason == "OOMKilled" {
			what = "was killed for using more memory than its limit"
			s.hint = "raise resources.limits.memory in the manifest"
		} else if end.Message != "" {
			what += ": " + firstLine(end.Message)
		}
	}
	s.Phase, s.Warning = PhaseStarting, true
	s.Reason = "ContainerFailed"
	if previous {
		s.Reason = "CrashLoopBackOff"
	}
	s.Message = fmt.Sprintf("container %s %s", status.Name, what)
	s.logsOf, s.logsPrevious = status.Name, previous
	if status.Name == contract.InitContainer && s.hint == "" {
		s.hint = "it delivers okteto's agents from image " + status.Image + "; initContainer.image in the manifest and " + contract.EnvCLIImage + " choose it"
	}
	s.fatal = own && previous
	return s
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// fromEvent makes the newest event the message.
func fromEvent(s podState, event *corev1.Event) podState {
	if event == nil {
		return s
	}
	switch event.Reason {
	case "Pulling":
		s.Phase, s.Message = PhasePulling, lower(event.Message)
	case "Pulled", "Created", "Started":
		s.Phase, s.Message = PhasePulling, "starting containers"
	case "FailedMount", "FailedAttachVolume", "FailedMapVolume", "VolumeResizeFailed":
		s.Phase, s.Reason, s.Warning = PhaseAttaching, event.Reason, true
		s.Message = "a volume is not ready: " + event.Message
	case "FailedCreatePodSandBox", "FailedKillPod", "NetworkNotReady", "FailedToRetrieveImagePullSecret":
		s.Reason, s.Message, s.Warning = event.Reason, event.Message, true
	}
	return s
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// newestEvent skips what says nothing to a user.
func newestEvent(events []corev1.Event) *corev1.Event {
	for i := range events {
		switch events[i].Reason {
		case "Scheduled", "BackOff":
			continue
		}
		return &events[i]
	}
	return nil
}

func isInit(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}

// isSidecar reports an init container that keeps running (KEP-753).
func isSidecar(pod *corev1.Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}
