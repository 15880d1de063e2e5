# What every system pod runs: hyper under the names of its programs. It only adds
# files: what a layer removes (a device file on disk) cannot be preloaded.
ARG BASE
FROM ${BASE}
COPY hyper /usr/local/bin/hyper
RUN cd /usr/local/bin \
 && for program in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd coredns node-agent; do \
      ln -s hyper $program; \
    done
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
