# Patchbay in a container: one static binary. No shell, no libraries, no root.
#
#	make image                      takes bin/patchbay, pulls nothing
#	docker build -t patchbay .      builds the program too, from the Go image
#
# Without BuildKit every stage before the wanted one is built, so the stage that
# pulls nothing comes first. The last one stands on it, so its copy of
# bin/patchbay may find nothing: a pattern may, and bi[n] is one, because there
# may be no bin at all.

# The Go that go.mod asks for; a test compares them.
ARG GO=1.26

FROM scratch AS outside
COPY LICENSE bi[n]/patchbay* /
# An empty folder, owned by the user below: so is a new volume over it.
COPY --chown=65532:65532 deploy/data /data
ENV PATH=/ PATCHBAY_NODE_DATA_DIR=/data
USER 65532:65532
# Carriers' SIP; health and metrics; NATS and its routes, of a broker.
EXPOSE 5060/udp 5060/tcp 8080/tcp 8443/tcp 4222/tcp 6222/tcp
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 CMD ["/patchbay", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/patchbay"]
CMD ["serve"]

FROM golang:${GO} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-X main.built=${VERSION}" -o /patchbay ./cmd/patchbay

FROM outside
COPY --from=build /patchbay /patchbay
