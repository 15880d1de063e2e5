package builder

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

func isRunning(pod *corev1.Pod) bool {
	return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].State.Running != nil
}

// exitOf is how the builder's program ended, if it has failed and was not
// started again since.
func exitOf(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, s := range pod.Status.ContainerStatuses {
		for _, state := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if s.State.Running == nil && state != nil && state.ExitCode != 0 {
				return state
			}
		}
	}
	return nil
}

// waitingFor says what a pod waits for, and whether it will not get it by
// itself.
func waitingFor(pod *corev1.Pod) (reason string, stuck bool) {
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			hopeless := []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
			return fmt.Sprintf("%s: %s", w.Reason, w.Message), slices.Contains(hopeless, w.Reason)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("%s: %s", c.Reason, c.Message), false
		}
	}
	return "its container is being created", false
}
