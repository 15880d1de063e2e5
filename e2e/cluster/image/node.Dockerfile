# A kind node without its preloaded pod images. kindfiles/ is kind's own
# images/base/files, taken from its module.
ARG BASE
FROM ${BASE}
COPY kindfiles/ /
COPY hyper /usr/bin/hyper
COPY containerd.toml /etc/containerd/config.toml
COPY manifests /kind/manifests
ARG KUBERNETES
RUN for program in kubelet kubeadm kubectl; do ln -s hyper /usr/bin/$program; done \
 && ln -sf /lib/systemd/systemd /sbin/init \
 && mkdir -p /etc/kubernetes/manifests /var/lib/containerd \
 && echo "v$KUBERNETES" >/kind/version \
 && echo ReadKMsg=no >>/etc/systemd/journald.conf \
 && rm -f /etc/systemd/system/containerd*.service \
 && systemctl enable kubelet containerd undo-mount-hacks
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
