package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"okteto/cli/attach"
	"okteto/internal/contract"
)

// fewWatches is a limit in the pod below which a larger tree cannot be watched.
const fewWatches = 8192

// devPod says what the development pod does or waits for, if there is one.
func (p *patient) devPod(ctx context.Context) Check {
	selector := labels.SelectorFromSet(labels.Set{contract.InteractiveLabel: p.Dev.Name}).String()
	list, err := p.Client.Clientset.CoreV1().Pods(p.Client.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return failed(p.Client.Explain(err, "list pods"))
	}
	if len(list.Items) == 0 {
		return skipped("not in development mode")
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		if reason := waits(pod); reason != "" {
			return failure(pod.Name+" waits: "+reason, hint(reason))
		}
	}
	found, err := attach.FindPod(ctx, p.Target)
	if err != nil {
		return failed(err)
	}
	p.pod = found
	return ok(found.Name + " runs")
}

// waits returns why a pod does not run, "" if it does or will.
func waits(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range statuses {
			w := s.State.Waiting
			if w != nil && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating" {
				return fmt.Sprintf("%s (container %s, image %s): %s", w.Reason, s.Name, s.Image, w.Message)
			}
		}
	}
	return ""
}

func hint(reason string) string {
	word, _, _ := strings.Cut(reason, " ")
	switch strings.TrimSuffix(word, ":") {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
		return "correct image in the manifest, or give the namespace a pull secret for its registry"
	case "CrashLoopBackOff", "CreateContainerError", "RunContainerError":
		return "look at its log: okteto logs --pod"
	case "Unschedulable":
		return "lower resources in the manifest, or correct nodeSelector and tolerations"
	}
	return ""
}

// tunnel connects to the SSH server and runs a command.
func (p *patient) tunnel(ctx context.Context) Check {
	if p.pod == nil {
		return skipped("there is no development pod that runs")
	}
	session, err := attach.Open(ctx, p.Target, slog.New(slog.DiscardHandler))
	if err != nil {
		return failed(err)
	}
	defer session.Close()
	client, err := session.First(ctx)
	if err != nil {
		return failed(err)
	}
	start := time.Now()
	command, err := client.NewSession()
	if err != nil {
		return failed(fmt.Errorf("open session: %w", err))
	}
	defer command.Close()
	out, err := command.Output("cat /proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return failed(errors.Join(errors.New("run a command in the pod"), err))
	}
	detail := fmt.Sprintf("%s, a command takes %s", session.Transport(), time.Since(start).Round(time.Millisecond))
	if watches, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && watches < fewWatches {
		return warning(fmt.Sprintf("%s; the node allows %d file watches", detail, watches),
			"raise fs.inotify.max_user_watches on the node, or what changes in the pod is found by scanning")
	}
	return ok(detail)
}
