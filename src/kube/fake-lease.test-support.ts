import { type Handler, json, status } from "./fake-server.test-support.ts";

/** A Lease as a fake server holds it. */
export type HeldLease = { version: number; spec: Record<string, unknown> };

/** Answers as an API server does that has one Lease at most, and takes a patch only of the version it has. */
export function leaseHandler(held: () => HeldLease | undefined, hold: (lease: HeldLease) => void): Handler {
  return (request, response, _url, body) => {
    const sent = (body === "" ? {} : JSON.parse(body)) as {
      metadata?: { resourceVersion?: string };
      spec?: HeldLease["spec"];
    };
    if (request.method === "POST") hold({ version: 1, spec: sent.spec ?? {} });
    let lease = held();
    if (lease === undefined) {
      json(response, 404, status(404, "NotFound"));
      return;
    }
    if (request.method === "PATCH") {
      if (sent.metadata?.resourceVersion !== String(lease.version)) {
        json(response, 409, status(409, "Conflict"));
        return;
      }
      lease = { version: lease.version + 1, spec: { ...lease.spec, ...sent.spec } };
      hold(lease);
    }
    json(response, 200, { metadata: { name: "l", resourceVersion: String(lease.version) }, spec: lease.spec });
  };
}
