# kubeadm's CoreDNS Deployment gives arguments, and leaves the program to the image.
ARG BASE
FROM ${BASE}
ENTRYPOINT ["coredns"]
