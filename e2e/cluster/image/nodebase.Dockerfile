# Debian with the packages of a node, without the units that kind does not want.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      mount systemd procps ethtool \
      containerd runc containernetworking-plugins \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
      /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
      /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
      /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
 && cd /usr/lib/cni \
 && find . -type f ! -name ptp ! -name host-local ! -name loopback ! -name portmap -delete
